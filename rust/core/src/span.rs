//! A part of a line, by its bytes.

/// A piece of a line. A line has at most `MAX_LINE` = 16,384 bytes, so 16 bits name any piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    /// The piece `start..end`.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u16, len: (end - start) as u16 }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    pub(crate) fn start(self) -> usize {
        usize::from(self.start)
    }

    pub(crate) fn end(self) -> usize {
        usize::from(self.start) + usize::from(self.len)
    }

    /// The bytes of this piece of `line`.
    pub(crate) fn of(self, line: &[u8]) -> &[u8] {
        &line[usize::from(self.start)..][..usize::from(self.len)]
    }
}
