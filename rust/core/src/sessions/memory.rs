//! Sessions by their ids, for single events: a logout that names no address has that of its session's login.

use crate::address::Address;
use crate::catalogue::Catalogue;
use crate::record::What;
use crate::sequence::Resolved;
use crate::sessions::store::{LIMIT, Sessions};
use crate::texts::text;

/// What is remembered from scan to scan.
#[derive(Debug)]
pub(crate) struct Memory {
    /// One for each format.
    sessions: Vec<Sessions<Address>>,
}

impl Memory {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self { sessions: catalogue.formats.iter().map(|_| Sessions::new(LIMIT)).collect() }
    }

    /// The event with the address of the session that it names, where it is a logout without one; a login's address is
    /// remembered by its session. `data` is what was scanned.
    pub(crate) fn recall<'s>(&mut self, catalogue: &Catalogue, mut event: Resolved<'s>, data: &[u8]) -> Resolved<'s> {
        let record = event.record;
        if record.session.is_empty() || !catalogue.formats[usize::from(record.format)].needs_sessions {
            return event;
        }
        let sessions = &mut self.sessions[usize::from(record.format)];
        let id = text(record.session.of(&data[record.line..]));
        match (event.what, event.address) {
            (What::Login, Some(address)) => sessions.insert(&id, address),
            (What::Logout, None) => event.address = sessions.take(&id),
            _ => {}
        }
        event
    }
}
