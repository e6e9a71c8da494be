//! Which lines have one of a few texts where a mail server's message begins: the cheap check before a caller's own
//! patterns (docs/MATCHING.md, 9).

use crate::lines::Lines;

/// How far behind the line's first `: ` the second is looked for: a queue id (at most 20 bytes), and Solaris's `[ID …]`.
const NEAR: usize = 64;

/// A line that has one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Which of the texts, by its place in the list.
    pub(crate) which: usize,
    /// Where the line starts.
    pub(crate) start: usize,
    /// Where the line's first `: ` is.
    pub(crate) colon: usize,
    /// Where the text starts.
    pub(crate) at: usize,
    /// Where the line ends, without its line end.
    pub(crate) end: usize,
}

/// Some texts to look for.
#[derive(Debug)]
pub(crate) struct Literals {
    texts: Vec<Vec<u8>>,
}

impl Literals {
    /// The texts, in the order of their numbers.
    pub(crate) fn new<T: AsRef<[u8]>>(texts: &[T]) -> Self {
        Self { texts: texts.iter().map(|text| text.as_ref().to_vec()).collect() }
    }

    /// The lines that have one right behind their first or second `: `, in their order; the first place decides, and
    /// there the first of the list. Lines that are too long to be matched have none, nor have those for whose part before
    /// the first `: ` the answer of `may` is no.
    pub(crate) fn lines(&self, data: &[u8], may: impl Fn(&[u8]) -> bool) -> Vec<Held> {
        let mut found = Vec::new();
        for line in Lines::new(data) {
            let text = line.of(data);
            if line.is_too_long() {
                continue;
            }
            let Some(first) = first_colon(text).map(|colon| colon + 2) else { continue };
            if !may(&text[..first - 2]) {
                continue;
            }
            let held = self.at(text, first).map(|which| (which, first)).or_else(|| {
                let near = &text[first..text.len().min(first + NEAR)];
                let second = first + first_colon(near)? + 2;
                self.at(text, second).map(|which| (which, second))
            });
            if let Some((which, at)) = held {
                found.push(Held {
                    which,
                    start: line.start,
                    colon: line.start + first - 2,
                    at: line.start + at,
                    end: line.end,
                });
            }
        }
        found
    }

    fn at(&self, line: &[u8], place: usize) -> Option<usize> {
        let (rest, first) = (&line[place..], line.get(place)?);
        // Nearly all lines differ in the first byte, and a call to compare a few more takes as long as the search before.
        self.texts.iter().position(|text| text.first() == Some(first) && rest.starts_with(text))
    }
}

/// The first `: ` of a line: behind a few colons of its timestamp, so that one byte is found sooner than two.
fn first_colon(line: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b':', line).find(|&colon| line.get(colon + 1) == Some(&b' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_LINE;

    fn lines(texts: &[&str], data: &[u8]) -> Vec<(usize, usize, usize, usize)> {
        let found = Literals::new(texts).lines(data, |_| true);
        found.iter().map(|held| (held.which, held.start, held.at, held.end)).collect()
    }

    #[test]
    fn a_text_counts_behind_the_first_or_second_colon() {
        assert_eq!(
            lines(&["ab", "b"], b"x:y: ab\r\n\nx: Q: b\nab\nx: ab: b"),
            [(0, 0, 5, 7), (1, 10, 16, 17), (0, 21, 24, 29)]
        );
        assert_eq!(lines(&["a", "ab"], b": ab"), [(0, 0, 2, 4)]);
        assert!(lines(&["ab"], b"x: y: z: ab\nx ab\nx:ab: ").is_empty() && lines(&["ab"], b"").is_empty());
    }

    #[test]
    fn the_second_colon_is_near_the_first() {
        let line = |n: usize| [b"x: ", &vec![b'Q'; n][..], b": ab"].concat();
        assert_eq!(lines(&["ab"], &line(NEAR - 2)).len(), 1);
        assert!(lines(&["ab"], &line(NEAR - 1)).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_has_none() {
        let long = [b": ab", &vec![b'x'; MAX_LINE - 3][..], b"\n: ab\n"].concat();
        assert_eq!(lines(&["ab"], &long), [(0, MAX_LINE + 2, MAX_LINE + 4, MAX_LINE + 6)]);
    }
}
