//! Envelopes of lines whose tag is known, at the pace of a search for newlines.

use crate::envelope::{self, Envelope};
use crate::tags::Tags;

/// Reads the head of one line after the other.
#[derive(Debug)]
pub(crate) struct Heads<'c> {
    tags: &'c Tags,
}

impl<'c> Heads<'c> {
    pub(crate) fn new(tags: &'c Tags) -> Self {
        Self { tags }
    }

    /// The line's envelope and its tag's target; `None` when it has no envelope or its tag is of no format.
    pub(crate) fn read(&mut self, line: &[u8]) -> Option<(Envelope, u16)> {
        let envelope = envelope::syslog(line)?;
        let target = self.tags.find(envelope.tag?.of(line))?;
        Some((envelope, target))
    }
}
