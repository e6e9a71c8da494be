//! Many short texts in one buffer: what rows keep of lines that are gone.

/// A text in `Texts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    start: usize,
    len: u16,
}

/// The buffer.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<u8>);

impl Texts {
    /// Adds a text. One made longer than 65,535 bytes by replacement characters cannot come from a line of
    /// `MAX_LINE` bytes: each byte becomes three at most.
    pub(crate) fn add(&mut self, text: &[u8]) -> Text {
        let start = self.0.len();
        self.0.extend_from_slice(text);
        Text {
            start,
            len: text.len() as u16,
        }
    }

    pub(crate) fn get(&self, text: Text) -> &[u8] {
        &self.0[text.start..][..usize::from(text.len)]
    }
}
