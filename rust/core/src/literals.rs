//! Which lines hold one of a few texts: the cheap check before a caller's own patterns (docs/MATCHING.md, 9).

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr, memrchr};

use crate::{Error, MAX_LINE};

/// A line that holds one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which of the texts, by its place in the list.
    pub which: usize,
    /// Where the line starts.
    pub start: usize,
    /// Where the text starts.
    pub at: usize,
    /// Where the line ends, without its line end.
    pub end: usize,
}

/// Some texts to look for.
#[derive(Debug)]
pub struct Literals(AhoCorasick);

impl Literals {
    /// None of the texts may be empty or hold a newline.
    ///
    /// # Errors
    /// [`Error::Literal`] where one does.
    pub fn new<T: AsRef<[u8]>>(texts: &[T]) -> Result<Self, Error> {
        if texts.iter().any(|text| text.as_ref().is_empty() || memchr(b'\n', text.as_ref()).is_some()) {
            return Err(Error::Literal);
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(texts);
        built.map(Self).map_err(|_| Error::Literal)
    }

    /// The lines that hold one, in their order, each with its leftmost text; of two that start there, the first of the
    /// list. Lines that are too long to be matched hold none.
    #[must_use]
    pub fn lines(&self, data: &[u8]) -> Vec<Held> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(hit) = self.0.find(&data[from..]) {
            let (which, at) = (hit.pattern().as_usize(), from + hit.start());
            let start = memrchr(b'\n', &data[from..at]).map_or(from, |newline| from + newline + 1);
            let stop = memchr(b'\n', &data[at..]).map(|newline| at + newline);
            let mut end = stop.unwrap_or(data.len());
            from = stop.map_or(data.len(), |newline| newline + 1);
            if stop.is_some() && data[end - 1] == b'\r' && end > at {
                end -= 1;
            }
            if end - start <= MAX_LINE {
                found.push(Held { which, start, at, end });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str], data: &[u8]) -> Vec<(usize, usize, usize, usize)> {
        let found = Literals::new(texts).unwrap().lines(data);
        found.iter().map(|held| (held.which, held.start, held.at, held.end)).collect()
    }

    #[test]
    fn a_line_is_found_once_by_its_leftmost_text() {
        assert_eq!(lines(&["ab", "b"], b"xab b\r\n\nb\nno\nab"), [(0, 0, 1, 5), (1, 8, 8, 9), (0, 13, 13, 15)]);
        assert_eq!(lines(&["a", "ab"], b"ab"), [(0, 0, 0, 2)]);
        assert!(lines(&["ab"], b"a\nb").is_empty() && lines(&["ab"], b"").is_empty());
        assert_eq!(lines(&["a\r"], b"a\r\n"), [(0, 0, 0, 1)]);
    }

    #[test]
    fn a_line_that_is_too_long_holds_none() {
        let long = [&vec![b'x'; MAX_LINE][..], b"ab\nab\n"].concat();
        assert_eq!(lines(&["ab"], &long), [(0, MAX_LINE + 3, MAX_LINE + 3, MAX_LINE + 5)]);
    }

    #[test]
    fn an_empty_text_and_one_with_a_newline_are_refused() {
        assert!(Literals::new(&[""]).is_err() && Literals::new(&["a\nb"]).is_err());
    }
}
