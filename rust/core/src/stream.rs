//! Scans of one source in their order to rows or events, with the counters of docs/MATCHING.md, 7.

use std::borrow::Cow;
use std::sync::Arc;

use crate::address::Address;
use crate::catalogue::Catalogue;
use crate::fold::{Fold, Rows};
use crate::record::{Missed, What};
use crate::scan::Scan;
use crate::sequence::{Resolved, Sequence};
use crate::sessions::memory::Memory;

/// One event or missed line, as a person is shown it; texts are bytes of its line, or of that of its session's login.
#[derive(Clone, Debug)]
pub struct Event<'d> {
    /// Start of the line in the scanned bytes.
    pub line: usize,
    /// Login, logout or missed.
    pub what: What,
    /// `None` for missed lines and for a logout whose address is not known.
    pub address: Option<Address>,
    /// UTC seconds; `None` for missed lines.
    pub timestamp: Option<i64>,
    /// Number of the format.
    pub format: u16,
    /// The user.
    pub user: Option<Cow<'d, [u8]>>,
    /// The host; empty where the envelope has none.
    pub host: &'d [u8],
    /// The session id; never empty.
    pub session: Option<Cow<'d, [u8]>>,
    /// Whether the session is encrypted, where the line tells.
    pub tls: Option<bool>,
    /// Remote and local end are one address.
    pub looped: bool,
}

/// How many lines ended as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    lines: u64,
    too_long: u64,
    login: u64,
    logout: u64,
    logout_no_address: u64,
    missed: [u64; Missed::ALL.len()],
}

/// The ordered half of a matcher, for one source.
#[derive(Debug)]
pub struct Stream {
    catalogue: Arc<Catalogue>,
    sequence: Sequence,
    memory: Memory,
    fold: Fold,
    counts: Counts,
    /// Whether rows are made of logouts too, where logins are not folded.
    logouts: bool,
}

impl Stream {
    /// A stream that folds logins to rows over gaps up to `gap` seconds, and counts logouts only; or one whose rows are
    /// single events, logouts with the addresses of their sessions among them.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, gap: i64, live: bool, folds: bool) -> Self {
        let (sequence, memory) = (Sequence::new(&catalogue, live), Memory::new(&catalogue));
        Self { catalogue, sequence, memory, fold: Fold::new(gap, folds), counts: Counts::default(), logouts: !folds }
    }

    /// The same for who counts no sessions: of single events the rows leave out logouts, and the processes of logins.
    #[must_use]
    pub fn without_sessions(self) -> Self {
        let fold = self.fold.without_processes();
        Self { fold, logouts: false, ..self }
    }

    /// Folds the events of the next scan. `data` is what was scanned, from `offset` of its source.
    pub fn add(&mut self, scan: &Scan, data: &[u8], offset: u64) {
        let Self { catalogue, sequence, memory, fold, counts, logouts } = self;
        counts.begin(scan);
        sequence.resolve_order(catalogue, scan, data, |event| {
            let event = &if *logouts { memory.recall(catalogue, event, data) } else { event };
            counts.count(event);
            counts.logout_no_address += u64::from(*logouts && event.is_anybodys_logout());
            if !matches!(event.what, What::Missed(_)) && (*logouts || event.what != What::Logout) {
                let start = event.record.line;
                fold.add(event, &data[start..], offset + start as u64, scan.reference);
            }
        });
    }

    /// The events and missed lines of the next scan, in line order, not folded.
    pub fn events<'d>(&mut self, scan: &Scan, data: &'d [u8]) -> Vec<Event<'d>> {
        let Self { catalogue, sequence, memory, counts, .. } = self;
        counts.begin(scan);
        let mut events = Vec::with_capacity(scan.records.len());
        sequence.resolve_order(catalogue, scan, data, |event| {
            if matches!(event.what, What::Ending(_)) {
                return;
            }
            let event = memory.recall(catalogue, event, data);
            counts.count(&event);
            counts.logout_no_address += u64::from(event.is_anybodys_logout());
            events.push(Event::new(&event, data));
        });
        events
    }

    /// The rows since the last `take`, in the order of their first events.
    pub fn take(&mut self) -> Rows {
        self.fold.take()
    }

    /// Counters by name, all of them from the beginning.
    pub fn counters(&self) -> impl Iterator<Item = (String, u64)> + use<> {
        let counts = self.counts;
        let missed = Missed::ALL.iter().zip(counts.missed);
        let missed = missed.map(|(reason, n)| (format!("missed_{}", reason.name().replace('-', "_")), n));
        let told = counts.too_long + counts.login + counts.logout + counts.missed.iter().sum::<u64>();
        let named = [
            ("lines", counts.lines),
            ("too_long", counts.too_long),
            ("login", counts.login),
            ("logout", counts.logout),
            ("other", counts.lines - told),
            ("logout_no_address", counts.logout_no_address),
        ];
        named.map(|(name, n)| (name.to_owned(), n)).into_iter().chain(missed)
    }
}

impl<'d> Event<'d> {
    fn new(resolved: &Resolved<'_>, data: &'d [u8]) -> Self {
        let record = resolved.record;
        let line = &data[record.line..];
        let happened = !matches!(resolved.what, What::Missed(_));
        let owned = |text: &Option<Box<[u8]>>| text.as_ref().map(|text| Cow::Owned(text.to_vec()));
        let (user, session) = match resolved.opened() {
            _ if !happened => (None, None),
            Some(opened) => (owned(&opened.user), owned(&opened.session)),
            None => (record.user.map(|user| Cow::Borrowed(user.of(line))), record.session_id(line).map(Cow::Borrowed)),
        };
        Self {
            line: record.line,
            what: resolved.what,
            address: resolved.address,
            timestamp: happened.then_some(resolved.timestamp),
            format: record.format,
            user,
            host: record.host.of(line),
            session,
            tls: resolved.tls.filter(|_| happened),
            looped: resolved.looped && happened,
        }
    }
}

impl Counts {
    fn begin(&mut self, scan: &Scan) {
        self.lines += scan.lines;
        self.too_long += scan.too_long;
    }

    fn count(&mut self, event: &Resolved<'_>) {
        match event.what {
            What::Login => self.login += 1,
            What::Logout => self.logout += 1,
            What::Ending(_) => {}
            What::Missed(reason) => self.missed[reason as usize] += 1,
        }
    }
}

#[cfg(test)]
mod tests;
