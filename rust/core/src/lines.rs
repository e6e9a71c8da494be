//! Bytes to lines (docs/MATCHING.md, 1).

use memchr::Memchr;

use crate::MAX_LINE;

/// Where one line lies in its bytes, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Line {
    pub(crate) fn is_too_long(self) -> bool {
        self.end - self.start > MAX_LINE
    }

    pub(crate) fn of(self, data: &[u8]) -> &[u8] {
        &data[self.start..self.end]
    }
}

/// The lines of some bytes, the last one also without `\n`.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    data: &'a [u8],
    newlines: Memchr<'a>,
    start: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, newlines: Memchr::new(b'\n', data), start: 0 }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    #[inline]
    fn next(&mut self) -> Option<Line> {
        let start = self.start;
        let Some(newline) = self.newlines.next() else {
            self.start = self.data.len();
            return (start < self.data.len()).then_some(Line { start, end: self.data.len() });
        };
        self.start = newline + 1;
        let end = if newline > start && self.data[newline - 1] == b'\r' { newline - 1 } else { newline };
        Some(Line { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(data: &[u8]) -> Vec<&[u8]> {
        Lines::new(data).map(|line| line.of(data)).collect()
    }

    #[test]
    fn a_line_ends_at_newline_and_drops_one_return_before_it() {
        assert_eq!(lines(b"a\r\nb\r\r\n\n\r\nc\rd\n"), [&b"a"[..], b"b\r", b"", b"", b"c\rd"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_last_line_without_newline_is_a_line_as_it_stands() {
        assert_eq!(lines(b"a\nb\r"), [&b"a"[..], b"b\r"]);
        assert_eq!(lines(b"\n\n"), [b"", b""]);
    }

    #[test]
    fn the_return_does_not_count_for_the_length() {
        let of = |n: usize, end: &[u8]| {
            let data = [&vec![b'x'; n][..], end].concat();
            Lines::new(&data).next().unwrap().is_too_long()
        };
        assert!(!of(MAX_LINE, b"\n") && !of(MAX_LINE, b"\r\n") && !of(MAX_LINE, b""));
        assert!(of(MAX_LINE + 1, b"\n") && of(MAX_LINE + 1, b"\r\n") && of(MAX_LINE, b"\r\r\n"));
    }
}
