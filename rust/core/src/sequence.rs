//! The ordered half: what depends on the lines before (docs/MATCHING.md, 6), so that scans may be cut anywhere.

use std::borrow::Cow;

use crate::address::Address;
use crate::catalogue::{Catalogue, Layout};
use crate::lines::Lines;
use crate::record::{Missed, Record, What};
use crate::scan::{Scan, Sender};
use crate::sessions::{LIMIT, Sessions};

/// How far before its predecessor an event may lie, in seconds, until its later reading is the better one: writers
/// hold lines back for less than this.
const ORDER_SLACK: i64 = 300;

/// A record with everything settled that depends on order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled<'s> {
    pub(crate) record: &'s Record,
    pub(crate) what: What,
    /// UTC seconds; 0 for missed lines.
    pub(crate) stamp: i64,
    /// `None` for missed lines and for a logout whose address is not known.
    pub(crate) address: Option<Address>,
}

/// State that goes from scan to scan.
#[derive(Debug)]
pub(crate) struct Sequence {
    live: bool,
    /// Stamp of the event before, as settled.
    before: Option<i64>,
    /// Hosts and tags whose last record was a cut one.
    cut: Vec<Sender>,
    /// One for each format.
    sessions: Vec<Sessions>,
}

impl Sequence {
    pub(crate) fn new(catalogue: &Catalogue, live: bool) -> Self {
        let sessions = catalogue.formats.iter().map(|_| Sessions::new(LIMIT)).collect();
        Self { live, before: None, cut: Vec::new(), sessions }
    }

    /// Hands the scan's events and missed lines to `sink`, settled, in order. `data` is what was scanned.
    pub(crate) fn settle<'s>(
        &mut self,
        catalogue: &Catalogue,
        scan: &'s Scan,
        data: &[u8],
        mut sink: impl FnMut(Settled<'s>),
    ) {
        let continuations = self.cross_border(catalogue, scan, data);
        for record in &scan.records {
            let mut what = record.what;
            if continuations.contains(&record.line) {
                what = match what {
                    What::Missed(Missed::NoPattern) => continue,
                    What::Missed(Missed::CutRecord) => what,
                    _ => What::Missed(Missed::Continuation),
                };
            }
            if matches!(what, What::Missed(_)) {
                sink(Settled { record, what, stamp: 0, address: None });
                continue;
            }
            let stamp = self.stamp(record, scan.reference);
            self.before = Some(stamp);
            let address = if catalogue.formats[usize::from(record.format)].needs_sessions {
                self.session(record, &data[record.line..], what)
            } else {
                record.address
            };
            sink(Settled { record, what, stamp, address });
        }
    }

    /// Line starts of the first records here of those whose last record before was cut.
    ///
    /// The lines are read again to find them: they may be of no interest otherwise, and a cut record at a border is
    /// far too rare for every scan to list its senders.
    fn cross_border(&mut self, catalogue: &Catalogue, scan: &Scan, data: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        if !self.cut.is_empty() {
            for line in Lines::new(data).filter(|line| !line.is_too_long()) {
                let text = line.of(data);
                let Some(envelope) = catalogue.envelope(text, scan.layout) else {
                    continue;
                };
                let untagged = envelope.tag.is_none() && scan.layout == Layout::Syslog;
                if let Some(i) = self.cut.iter().position(|sender| !untagged && sender.is(text, &envelope)) {
                    self.cut.swap_remove(i);
                    found.push(line.start);
                    if self.cut.is_empty() {
                        break;
                    }
                }
            }
        }
        self.cut.extend_from_slice(&scan.cut);
        found
    }

    fn stamp(&self, record: &Record, reference: i64) -> i64 {
        let (earlier, later) = (record.stamp, record.stamp + i64::from(record.later));
        let take_later = if self.live {
            later.abs_diff(reference) < earlier.abs_diff(reference)
        } else {
            self.before.is_some_and(|before| earlier < before - ORDER_SLACK)
        };
        if take_later { later } else { earlier }
    }

    fn session(&mut self, record: &Record, line: &[u8], what: What) -> Option<Address> {
        let sessions = &mut self.sessions[usize::from(record.format)];
        match (what, record.session, record.address) {
            (What::Login, Some(session), Some(address)) => {
                sessions.insert(&text(session.of(line)), address);
                Some(address)
            }
            (What::Logout, Some(session), None) => sessions.take(&text(session.of(line))),
            (_, _, address) => address,
        }
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
