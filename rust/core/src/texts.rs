//! Many short texts in one buffer: what rows keep of lines that are gone.

use std::borrow::Cow;
use std::num::NonZeroU64;

/// A text in `Texts`: its start above 16 bits of length, plus one, so that an optional one takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text(NonZeroU64);

/// The buffer.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<u8>);

impl Texts {
    /// Adds a text of fewer than 65,535 bytes. A line of `MAX_LINE` bytes holds no longer one, even if replacement
    /// characters make three bytes of each.
    pub(crate) fn add(&mut self, text: &[u8]) -> Text {
        let packed = (self.0.len() as u64) << 16 | text.len() as u64;
        self.0.extend_from_slice(text);
        Text(NonZeroU64::MIN.saturating_add(packed))
    }

    pub(crate) fn get(&self, text: Text) -> &[u8] {
        let packed = text.0.get() - 1;
        &self.0[(packed >> 16) as usize..][..(packed & 0xffff) as usize]
    }
}

/// Bytes of a line as text, which is what two user names or session ids are equal or different by.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, [u8]> {
    // Nearly all texts are ASCII, and the lossy conversion goes byte by byte.
    if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes())
}
