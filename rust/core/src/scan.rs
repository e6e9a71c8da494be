//! The pure half: lines of one piece of a source to records, in order. No state outlives a call.

use crate::MAX_LINE;
use crate::address::Address;
use crate::catalogue::{Catalogue, Layout, Pattern, Target};
use crate::civil::{Civil, Day, Instant, Reference};
use crate::cuts::{Cuts, Doubt, Written};
use crate::head::envelope::Envelope;
use crate::head::envelope_cache::Heads;
use crate::lines::Lines;
use crate::pattern::engine::{Cache, Groups};
use crate::pattern::prefix::Candidate;
use crate::pattern::wholeline::WholeLines;
use crate::record::{Missed, NO_TIMESTAMP, Record, Said};
use crate::timestamp::Timestamp;

/// What one piece of a source holds, not yet resolved by a `Stream`.
#[derive(Clone, Debug)]
pub struct Scan {
    pub(crate) records: Vec<Record>,
    pub(crate) lines: u64,
    pub(crate) too_long: u64,
    /// Writers whose last record here is a cut one.
    pub(crate) cuts: Cuts,
    pub(crate) layout: Layout,
    pub(crate) reference: i64,
}

impl Scan {
    /// Lines seen, those that are too long included.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

impl Catalogue {
    /// Records of the lines of `data`; the last line may lack its newline. `reference` is in UTC seconds.
    #[must_use]
    pub fn scan(&self, data: &[u8], layout: Layout, reference: i64) -> Scan {
        let mut scanner = Scanner {
            catalogue: self,
            caches: vec![None; self.patterns.len()],
            reference: Reference::new(reference),
            day: None,
            local: (Vec::new(), None),
            scan: Scan { records: Vec::new(), lines: 0, too_long: 0, cuts: Cuts::default(), layout, reference },
        };
        match layout {
            Layout::Syslog => scanner.syslog(data),
            Layout::Own(format) => scanner.own(data, format),
        }
        scanner.scan
    }
}

/// What remains to be said of a line whose tag, or own log, was looked at.
enum Left {
    Nothing,
    /// It is a cut record or a continuation where this says so.
    Undecided(Option<Doubt>),
}

struct Scanner<'c> {
    catalogue: &'c Catalogue,
    /// One for each pattern, made when it first runs.
    caches: Vec<Option<Cache>>,
    reference: Reference,
    /// The day of the event before: most events have the same one.
    day: Option<Day>,
    /// The text of the local end of the event before and its address: a server has few.
    local: (Vec<u8>, Option<Address>),
    scan: Scan,
}

impl Scanner<'_> {
    fn syslog(&mut self, data: &[u8]) {
        let catalogue = self.catalogue;
        let mut heads = Heads::new(&catalogue.tags);
        for line in Lines::new(data) {
            self.scan.lines += 1;
            if line.is_too_long() {
                self.scan.too_long += 1;
                self.too_long(line.of(data));
                continue;
            }
            let text = line.of(data);
            let mut left = Left::Undecided(None);
            if let Some((envelope, target)) = heads.read(text) {
                left = self.record(line.start, text, &envelope, &catalogue.targets[usize::from(target)]);
            }
            if let (Left::Undecided(refused), Some(patterns)) = (left, &catalogue.whole_lines) {
                self.whole_line(line.start, text, patterns, refused);
            }
        }
    }

    fn own(&mut self, data: &[u8], format: u16) {
        let catalogue = self.catalogue;
        let Some(target) = catalogue.own_target(format) else {
            return;
        };
        for line in Lines::new(data) {
            self.scan.lines += 1;
            if line.is_too_long() {
                self.scan.too_long += 1;
                self.too_long(line.of(data));
                continue;
            }
            let text = line.of(data);
            let mut left = Left::Undecided(None);
            if let Some(envelope) = catalogue.envelope(text, Layout::Own(format)) {
                left = self.record(line.start, text, &envelope, target);
            }
            if let (Left::Undecided(refused), Some(patterns)) = (left, &catalogue.whole_lines) {
                self.whole_line(line.start, text, patterns, refused);
            }
        }
    }

    /// What the patterns of a line's tag or own log make of it.
    fn record(&mut self, start: usize, line: &[u8], envelope: &Envelope, target: &Target) -> Left {
        let inner = self.catalogue.second_header(line, envelope, target);
        let envelope = inner.as_ref().unwrap_or(envelope);
        let line = &line[..envelope.end];
        let message = &line[envelope.message..];
        // Nearly all records are short, and no writer has a cut one open.
        let refused = if message.len() >= target.cut.least || !self.scan.cuts.is_empty() {
            self.refused(line, envelope, target)
        } else {
            None
        };
        let Some((number, tag_tls, groups)) = self.first_match(line, envelope.message, target) else {
            let Some(format) = self.catalogue.shows_success(target, message) else { return Left::Undecided(refused) };
            if refused.is_none() {
                self.scan.records.push(Record::new(start, format, envelope).missed(Missed::NoPattern));
            }
            return Left::Nothing;
        };
        let Pattern { format, said, has_tls, .. } = self.catalogue.patterns[usize::from(number)];
        let tls = if tag_tls || groups.tls.is_some() { Some(true) } else { has_tls.then_some(false) };
        let record = Record { said, tls, ..Record::new(start, format, envelope) };
        self.taken(record, line, envelope.timestamp, &groups, refused);
        Left::Nothing
    }

    /// What the patterns for whole lines make of a line that nothing else decided.
    fn whole_line(&mut self, start: usize, line: &[u8], patterns: &WholeLines, refused: Option<Doubt>) {
        let Some((pattern, envelope, groups)) = patterns.find(line) else { return };
        let tls = if groups.tls.is_some() { Some(true) } else { pattern.has_tls.then_some(false) };
        let record = Record { said: pattern.said, tls, ..Record::new(start, pattern.format, &envelope) };
        self.taken(record, line, envelope.timestamp, &groups, refused);
    }

    /// Keeps what a pattern took of a line, unless it is a step that comes to nothing where records are cut.
    fn taken(
        &mut self,
        record: Record,
        line: &[u8],
        timestamp: Option<Timestamp>,
        groups: &Groups,
        refused: Option<Doubt>,
    ) {
        let record = match refused.and_then(|doubt| doubt.reason(record.said)) {
            Some(_) if !record.said.is_event() => return,
            Some(reason) => record.missed(reason),
            None => self.read(record, line, timestamp, groups).unwrap_or_else(|reason| record.missed(reason)),
        };
        self.scan.records.push(record);
    }

    /// What speaks against the events of a record: a writer cut it, or it continues one.
    #[cold]
    fn refused(&mut self, line: &[u8], envelope: &Envelope, target: &Target) -> Option<Doubt> {
        let written = Written::new(line, envelope, &target.cut, false);
        let (catalogue, reference) = (self.catalogue, self.reference);
        let continues = self.scan.cuts.take(&written, || catalogue.second(line, envelope, reference));
        let Written { is_cut, leaves_rest, .. } = written;
        (is_cut || continues).then_some(Doubt { is_cut, leaves_rest, continues })
    }

    /// A line that is too long is a cut record; its beginning tells whose.
    #[cold]
    fn too_long(&mut self, line: &[u8]) {
        let line = &line[..MAX_LINE];
        let (catalogue, reference) = (self.catalogue, self.reference);
        if let Some((envelope, target)) = catalogue.read(line, self.scan.layout) {
            let written = Written::new(line, &envelope, &target.cut, true);
            self.scan.cuts.take(&written, || catalogue.second(line, &envelope, reference));
        }
    }

    /// The first pattern that takes the whole message, whether its tag means TLS, and its groups.
    fn first_match(&mut self, line: &[u8], message: usize, target: &Target) -> Option<(u16, bool, Groups)> {
        let patterns = &self.catalogue.patterns;
        let engine = |candidate: Candidate| {
            let (number, _) = target.patterns[usize::from(candidate.pattern)];
            &patterns[usize::from(number)].engine
        };
        target.prefixes.candidates(&line[message..], engine).iter().find_map(|candidate| {
            let (number, tls) = target.patterns[usize::from(candidate.pattern)];
            let engine = &patterns[usize::from(number)].engine;
            let cache = self.caches[usize::from(number)].get_or_insert_with(|| engine.cache());
            engine.run(cache, line, message, usize::from(candidate.prefix)).map(|groups| (number, tls, groups))
        })
    }

    /// The record with what the groups took. A step keeps what of it can be read.
    fn read(
        &mut self,
        record: Record,
        line: &[u8],
        timestamp: Option<Timestamp>,
        groups: &Groups,
    ) -> Result<Record, Missed> {
        let parsed = groups.ip.map(|text| Address::parse(text.of(line)));
        let address = match (record.said, parsed) {
            (said, None) if said.is_login() => return Err(Missed::BadAddress),
            (said, Some(None)) if said.is_login() || said == Said::Logout => return Err(Missed::BadAddress),
            (said, address) if said.is_login() || matches!(said, Said::Logout | Said::Address) => address.flatten(),
            _ => None,
        };
        let civil = timestamp.and_then(|timestamp| timestamp.read(line));
        let instant = civil.and_then(|civil| self.instant(civil));
        if instant.is_none() && record.said.is_event() {
            return Err(Missed::BadStamp);
        }
        let local = groups.lip.and_then(|text| self.local(text.of(line)));
        Ok(Record {
            timestamp: instant.map_or(NO_TIMESTAMP, |instant| instant.earlier),
            later: instant.map_or(0, |instant| instant.later),
            looped: address.is_some() && local == address,
            address,
            user: groups.user,
            session: groups.session.unwrap_or_default(),
            pid: groups.pid.filter(|pid| !pid.is_empty()).unwrap_or(record.pid),
            ..record
        })
    }

    fn instant(&mut self, civil: Civil) -> Option<Instant> {
        if let Some(instant) = self.day.and_then(|day| day.instant(civil)) {
            return Some(instant);
        }
        self.day = Day::of(civil, &self.catalogue.zone, self.reference);
        civil.instant(&self.catalogue.zone, self.reference)
    }

    fn local(&mut self, text: &[u8]) -> Option<Address> {
        if self.local.0 != text {
            self.local = (text.to_vec(), Address::parse(text));
        }
        self.local.1
    }
}

#[cfg(test)]
mod tests;
