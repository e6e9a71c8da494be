//! Records that a writer cuts, and the records that continue them (docs/MATCHING.md, 4).

use hashbrown::HashMap;

use crate::head::envelope::Envelope;
use crate::record::{Missed, Said};
use crate::spec::FormatSpec;

/// Length of a message, in bytes, from which any writer may have cut it: `logger` of util-linux and svlogd split at
/// about 1,000 bytes, their own head included.
pub(crate) const SPLIT: usize = 700;
/// Bytes of a host and of a tag that tell a writer from others; writers that begin alike are one, so more is refused.
pub(crate) const NAMED: usize = 255;
/// A cut record is forgotten when so many later ones were met, so forged hosts cannot fill the memory.
pub(crate) const REMEMBERED: u64 = 4_096;
/// A whole part is forgotten when so many later cut records were met: 30 MB of them at least, so that a flood of them
/// does not end it before its time.
const REMEMBERED_PARTS: u64 = 16 * REMEMBERED;
/// How long after a whole part its writer's records are refused, in seconds: the other parts wait for room in a pipe
/// that the writer's processes share, for as long as what reads it is held up.
pub(crate) const LASTS: i64 = 60;

/// From which length on the messages of one tag, or of one own log, are cut records.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    any: usize,
    /// From which length on the record that follows may be the rest of a cut one.
    rest: usize,
    /// For messages that start with one of `prefixes`.
    repeated: usize,
    /// Texts that a writer repeats before each part of a record.
    prefixes: Vec<Box<[u8]>>,
    /// For messages with one of `prefixes` (true) or with none: the lengths at which they begin, and cease, to be whole
    /// parts, in turn.
    whole: Vec<(bool, Box<[usize]>)>,
    /// The shortest message that the rule needs to be asked about.
    pub(crate) least: usize,
}

impl Rule {
    /// The rule of some formats together.
    pub(crate) fn new<'f>(formats: impl Iterator<Item = &'f FormatSpec>) -> Self {
        let (mut any, mut rest, mut repeated) = (SPLIT, SPLIT, usize::MAX);
        let (mut prefixes, mut whole) = (Vec::new(), Vec::new());
        for FormatSpec { cut, cut_rest, cut_prefix: texts, cut_whole: lengths, .. } in formats.filter(|f| f.cut > 0) {
            let cut = *cut;
            if texts.is_empty() {
                any = any.min(cut);
                rest = rest.min(cut.max(*cut_rest));
            } else {
                repeated = repeated.min(cut);
                prefixes.extend(texts.iter().map(|text| text.as_bytes().into()));
            }
            whole.push((!texts.is_empty(), lengths.as_slice().into()));
        }
        Self { any, rest, repeated, prefixes, whole, least: any.min(repeated) }
    }

    fn is_whole(&self, repeats: bool, length: usize) -> bool {
        let within = |lengths: &[usize]| lengths.iter().filter(|&&from| from <= length).count() % 2 == 1;
        self.whole.iter().any(|(of_prefixes, lengths)| *of_prefixes == repeats && within(lengths))
    }

    /// What the writer repeats at the start of this message; empty for nothing.
    fn prefix<'m>(&self, message: &'m [u8]) -> &'m [u8] {
        let found = self.prefixes.iter().find(|prefix| message.starts_with(prefix));
        found.map_or(&[], |prefix| &message[..prefix.len()])
    }
}

/// One record of a tag that a format has, as the rule sees it.
#[derive(Debug)]
pub(crate) struct Written<'l> {
    host: &'l [u8],
    tag: &'l [u8],
    prefix: &'l [u8],
    /// Whether it is a cut record.
    pub(crate) is_cut: bool,
    /// Whether it is a cut record whose rest may follow.
    pub(crate) leaves_rest: bool,
    /// Whether it is such a cut record, and of the length of a whole part.
    is_whole: bool,
}

impl<'l> Written<'l> {
    /// The record of a line, of a line that is too long the part that is looked at.
    pub(crate) fn new(line: &'l [u8], envelope: &Envelope, rule: &Rule, is_too_long: bool) -> Self {
        let message = &line[envelope.message..envelope.end];
        let prefix = rule.prefix(message);
        let most = if prefix.is_empty() { usize::MAX } else { rule.repeated };
        let from = |length: usize| is_too_long || message.len() >= length.min(most);
        let leaves_rest = from(rule.rest);
        Self {
            host: named(envelope.host.of(line)),
            tag: named(envelope.tag.map_or(&[], |tag| tag.of(line))),
            prefix,
            is_cut: from(rule.any),
            leaves_rest,
            is_whole: leaves_rest && rule.is_whole(!prefix.is_empty(), message.len()),
        }
    }

    /// The name of its writer, with what is repeated.
    fn key(&self) -> Vec<u8> {
        // Neither host nor tag holds a blank.
        [self.host, b" ", self.tag, b" ", self.prefix].concat()
    }

    /// The names of its writer: by host and tag, and where something is repeated, by that as well.
    fn keys(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let plain = [self.host, b" ", self.tag, b" "].concat();
        std::iter::once(plain).chain((!self.prefix.is_empty()).then(|| self.key()))
    }
}

/// What speaks against the events of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    pub(crate) is_cut: bool,
    pub(crate) leaves_rest: bool,
    pub(crate) continues: bool,
}

impl Doubt {
    /// Why a record that says this makes no event. A logout that is no longer than an honest one may be makes one: it
    /// grants nothing.
    pub(crate) fn reason(self, said: Said) -> Option<Missed> {
        let is_cut = if said == Said::Logout { self.leaves_rest } else { self.is_cut };
        if is_cut { Some(Missed::CutRecord) } else { self.continues.then_some(Missed::Continuation) }
    }
}

/// The part of a host or a tag by which a writer is remembered.
pub(crate) fn named(text: &[u8]) -> &[u8] {
    &text[..text.len().min(NAMED)]
}

/// What is known of a writer that wrote a whole part.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// The latest timestamp of its whole parts and of the records right after one.
    last: i64,
    /// Whether no record with a timestamp came after the last of them.
    is_next: bool,
    /// The number of its last whole part among the cut records.
    number: u64,
}

type Writers<T> = HashMap<Box<[u8]>, T, foldhash::fast::RandomState>;

/// The writers whose last record was a cut one, and those whose records are in doubt for a while.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts {
    /// By writer, the number of its cut record.
    open: Writers<u64>,
    /// By writer.
    parts: Writers<Part>,
    /// Cut records met.
    met: u64,
}

impl Cuts {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.parts.is_empty()
    }

    /// Takes the next record; whether it continues a cut one. `second` is its timestamp, in UTC seconds.
    pub(crate) fn take(&mut self, written: &Written<'_>, second: impl Fn() -> Option<i64>) -> bool {
        let continues = self.end(written, &second);
        if written.leaves_rest {
            self.met += 1;
            for key in written.keys() {
                self.open.insert(key.into(), self.met);
            }
            if written.is_whole {
                let part = Part { last: second().unwrap_or(i64::MIN), is_next: true, number: self.met };
                self.begin(written.key().into(), part);
            }
            self.forget();
        }
        continues
    }

    /// The same of a record that later Cuts have taken already: they know what it begins, these what it ends.
    pub(crate) fn pass(&mut self, written: &Written<'_>, second: impl Fn() -> Option<i64>) -> bool {
        let continues = self.end(written, &second);
        self.met += u64::from(written.leaves_rest);
        continues
    }

    /// Goes on where `later` ended, which began empty after `met` cut records.
    pub(crate) fn go_on(&mut self, met: u64, later: &Self) {
        self.open.extend(later.open.iter().map(|(key, number)| (key.clone(), met + number)));
        for (key, part) in &later.parts {
            self.begin(key.clone(), Part { number: met + part.number, ..*part });
        }
        self.met = met + later.met;
        self.forget();
    }

    /// Cut records met so far.
    pub(crate) fn met(&self) -> u64 {
        self.met
    }

    fn begin(&mut self, key: Box<[u8]>, part: Part) {
        let known = self.parts.entry(key).or_insert(part);
        *known = Part { last: known.last.max(part.last), is_next: known.is_next || part.is_next, ..part };
    }

    fn end(&mut self, written: &Written<'_>, second: impl Fn() -> Option<i64>) -> bool {
        let lasts = !self.parts.is_empty() && self.lasts(written, second);
        if self.open.is_empty() {
            return lasts;
        }
        // Both are ended, whichever was there.
        written.keys().fold(lasts, |ended, key| {
            let open = self.open.remove(&key[..]);
            ended | open.is_some_and(|number| self.met - number < REMEMBERED)
        })
    }

    /// Whether the record may be the rest of a whole part of before.
    fn lasts(&mut self, written: &Written<'_>, second: impl Fn() -> Option<i64>) -> bool {
        let key = written.key();
        let Some(part) = self.parts.get_mut(&key[..]) else { return false };
        let second = second();
        let mut lasts = self.met - part.number < REMEMBERED_PARTS;
        match second {
            Some(second) if part.is_next => {
                part.last = part.last.max(second);
                part.is_next = false;
            }
            Some(second) => lasts &= second <= part.last.saturating_add(LASTS),
            None => {}
        }
        if !lasts {
            self.parts.remove(&key[..]);
        }
        lasts
    }

    fn forget(&mut self) {
        // A record has two keys at most, and a pass over all of them must be rare.
        if self.open.len() as u64 > 4 * REMEMBERED {
            let met = self.met;
            self.open.retain(|_, number| met - *number < REMEMBERED);
        }
        if self.parts.len() as u64 > 2 * REMEMBERED_PARTS {
            let met = self.met;
            self.parts.retain(|_, part| met - part.number < REMEMBERED_PARTS);
        }
    }
}

#[cfg(test)]
mod tests;
