//! The ordered half: what depends on the lines before (docs/MATCHING.md, 6), so that scans may be cut anywhere.

use hashbrown::HashSet;

use crate::MAX_LINE;
use crate::address::Address;
use crate::catalogue::Catalogue;
use crate::civil::Reference;
use crate::cuts::{Cuts, Written, named};
use crate::lines::Lines;
use crate::record::{Missed, NO_TIMESTAMP, ORDER_SLACK, Record, Said, What};
use crate::scan::Scan;
use crate::sessions::login_sequences::{Joined, Joins, Opened, Process, Success};

/// Writers of marked logins that are remembered.
const WRITERS: usize = 4_096;

/// A record with everything resolved that depends on order.
#[derive(Debug)]
pub(crate) struct Resolved<'s> {
    pub(crate) record: &'s Record,
    pub(crate) what: What,
    /// UTC seconds; `NO_TIMESTAMP` for missed lines.
    pub(crate) timestamp: i64,
    /// `None` for missed lines and for a logout whose address is not known (or not yet: `Memory`).
    pub(crate) address: Option<Address>,
    pub(crate) looped: bool,
    pub(crate) tls: Option<bool>,
    /// The login that ends here, where its lines are several: user and session id are then its, else the record's.
    opened: Option<Box<Opened>>,
}

impl<'s> Resolved<'s> {
    fn missed(record: &'s Record, reason: Missed) -> Self {
        let what = What::Missed(reason);
        Self { record, what, timestamp: NO_TIMESTAMP, address: None, looped: false, tls: None, opened: None }
    }

    /// A logout of which nobody knows whose it is.
    pub(crate) fn is_anybodys_logout(&self) -> bool {
        self.what == What::Logout && self.address.is_none()
    }

    pub(crate) fn opened(&self) -> Option<&Opened> {
        self.opened.as_deref()
    }

    /// The user of a login or logout. `line` starts with its line.
    pub(crate) fn user<'a>(&'a self, line: &'a [u8]) -> Option<&'a [u8]> {
        match &self.opened {
            Some(opened) => opened.user.as_deref(),
            None => self.record.user.map(|user| user.of(line)),
        }
    }

    /// The session id of a login or logout; never empty.
    pub(crate) fn session<'a>(&'a self, line: &'a [u8]) -> Option<&'a [u8]> {
        match &self.opened {
            Some(opened) => opened.session.as_deref(),
            None => self.record.session_id(line),
        }
    }
}

/// State that goes from scan to scan.
#[derive(Debug)]
pub(crate) struct Sequence {
    live: bool,
    /// Timestamp of the event or step before, resolved.
    before: Option<i64>,
    /// Writers whose last record was a cut one.
    cuts: Cuts,
    /// Writers that mark their logins: the first `WRITERS` of them.
    marking: HashSet<Vec<u8>, foldhash::fast::RandomState>,
    /// By process; one for each format.
    joins: Vec<Joins>,
}

impl Sequence {
    pub(crate) fn new(catalogue: &Catalogue, live: bool) -> Self {
        let joins = catalogue.formats.iter().map(|_| Joins::new()).collect();
        Self { live, before: None, cuts: Cuts::default(), marking: HashSet::default(), joins }
    }

    /// Hands the scan's events and missed lines to `sink`, resolved, in order. `data` is what was scanned.
    pub(crate) fn resolve_order<'s>(
        &mut self,
        catalogue: &Catalogue,
        scan: &'s Scan,
        data: &[u8],
        mut sink: impl FnMut(Resolved<'s>),
    ) {
        let continuations = self.cross_border(catalogue, scan, data);
        for record in &scan.records {
            let mut said = record.said;
            if !continuations.is_empty() && continuations.binary_search(&record.line).is_ok() {
                said = match said {
                    _ if said.ending().is_some() => continue,
                    Said::Missed(Missed::NoPattern) | Said::Address | Said::Failure | Said::End => continue,
                    Said::Missed(Missed::CutRecord) => said,
                    _ => Said::Missed(Missed::Continuation),
                };
            }
            if matches!(said, Said::Marked | Said::Unmarked) {
                said = self.told_by_marks(record, &data[record.line..]);
            }
            if let Said::Missed(reason) = said {
                sink(Resolved::missed(record, reason));
                continue;
            }
            let timestamp = self.timestamp(record, scan.reference);
            if timestamp != NO_TIMESTAMP {
                self.before = Some(timestamp);
            }
            let line = &data[record.line..];
            let what = match (said, said.ending()) {
                (Said::Login, _) => What::Login,
                (Said::Logout, _) => What::Logout,
                (_, Some(_)) if timestamp == NO_TIMESTAMP => continue,
                (_, Some(ending)) => What::Ending(ending),
                _ => {
                    if let Some(resolved) = self.step(record, line, timestamp) {
                        sink(resolved);
                    }
                    continue;
                }
            };
            let Record { address, looped, tls, .. } = *record;
            sink(Resolved { record, what, timestamp, address, looped, tls, opened: None });
        }
    }

    /// What comes of a login that may be marked, where its writer marks them.
    #[cold]
    fn told_by_marks(&mut self, record: &Record, line: &[u8]) -> Said {
        // Neither host nor tag holds a blank.
        let writer =
            [&record.format.to_le_bytes(), named(record.host.of(line)), b" ", named(record.tag.of(line))].concat();
        if record.said == Said::Marked && self.marking.len() < WRITERS {
            self.marking.insert(writer);
        } else if record.said == Said::Unmarked && self.marking.contains(&writer) {
            return Said::Missed(Missed::NoPattern);
        }
        Said::Login
    }

    /// The event that one step of a session over several lines makes, if any.
    #[cold]
    fn step<'s>(&mut self, record: &'s Record, line: &[u8], timestamp: i64) -> Option<Resolved<'s>> {
        let process = Process { host: record.host.of(line), tag: record.tag.of(line), pid: record.pid.of(line) };
        let joins = &mut self.joins[usize::from(record.format)];
        match record.said {
            _ if process.pid.is_empty() => {
                (record.said == Said::Success).then(|| Resolved::missed(record, Missed::NoSession))
            }
            Said::Success => {
                let owned = |bytes: &[u8]| bytes.into();
                let opened = || Opened {
                    user: record.user.map(|user| user.of(line)).map(owned),
                    session: record.session_id(line).map(owned),
                };
                match joins.succeed(process, timestamp, record.tls, opened) {
                    Success::Again => None,
                    Success::Unknown => Some(Resolved::missed(record, Missed::NoSession)),
                    Success::Login(address, looped, tls) => {
                        let (what, address) = (What::Login, Some(address));
                        Some(Resolved { record, what, timestamp, address, looped, tls, opened: None })
                    }
                }
            }
            Said::End => {
                let Joined { address, looped, tls, login, .. } = joins.end(process)?;
                let opened = Some(login?);
                if timestamp == NO_TIMESTAMP {
                    return Some(Resolved::missed(record, Missed::BadStamp));
                }
                let (what, address) = (What::Logout, Some(address));
                Some(Resolved { record, what, timestamp, address, looped, tls, opened })
            }
            _ => {
                joins.end(process);
                if let (Said::Address, Some(address)) =
                    (record.said, record.address.filter(|_| timestamp != NO_TIMESTAMP))
                {
                    let Record { looped, tls, .. } = *record;
                    joins.begin(process, Joined { address, looped, tls, timestamp, login: None });
                }
                None
            }
        }
    }

    /// Line starts, ascending, of the records here that continue cut records of earlier scans.
    ///
    /// The lines are read again to find them: they may be of no interest otherwise, and a cut record at a border is
    /// far too rare for every scan to list its writers.
    fn cross_border(&mut self, catalogue: &Catalogue, scan: &Scan, data: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let met = self.cuts.met();
        if !self.cuts.is_empty() {
            let reference = Reference::new(scan.reference);
            for line in Lines::new(data) {
                let text = line.of(data);
                let text = &text[..text.len().min(MAX_LINE)];
                let Some((envelope, target)) = catalogue.read(text, scan.layout) else { continue };
                let written = Written::new(text, &envelope, &target.cut, line.is_too_long());
                if self.cuts.pass(&written, || catalogue.second(text, &envelope, reference)) {
                    found.push(line.start);
                }
                if self.cuts.is_empty() {
                    break;
                }
            }
        }
        self.cuts.go_on(met, &scan.cuts);
        found
    }

    fn timestamp(&self, record: &Record, reference: i64) -> i64 {
        if record.later == 0 {
            return record.timestamp;
        }
        let (earlier, later) = (record.timestamp, record.timestamp + i64::from(record.later));
        let take_later = if self.live {
            later.abs_diff(reference) < earlier.abs_diff(reference)
        } else {
            self.before.is_some_and(|before| earlier < before - ORDER_SLACK)
        };
        if take_later { later } else { earlier }
    }
}
