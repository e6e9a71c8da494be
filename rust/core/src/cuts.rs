//! Records that a writer cuts, and the records that continue them (docs/MATCHING.md, 4).

use hashbrown::HashMap;

use crate::envelope::Envelope;

/// Length of a message, in bytes, from which any writer may have cut it: `logger` of util-linux and svlogd split at
/// about 1,000 bytes, their own head included.
pub(crate) const SPLIT: usize = 700;
/// A cut record is forgotten when so many later ones were met, so forged hosts cannot fill the memory.
pub(crate) const REMEMBERED: u64 = 4_096;

/// From which length on the messages of one tag, or of one own log, are cut records.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    any: usize,
    /// For messages that start with one of `prefixes`.
    repeated: usize,
    /// Texts that a writer repeats before each part of a record.
    prefixes: Vec<Box<[u8]>>,
    /// The shortest message that the rule needs to be asked about.
    pub(crate) least: usize,
}

impl Rule {
    /// The rule of some formats together, each with its `cut` (0 for none) and `cut_prefix`.
    pub(crate) fn new<'f>(formats: impl Iterator<Item = (usize, &'f [String])>) -> Self {
        let (mut any, mut repeated, mut prefixes) = (SPLIT, usize::MAX, Vec::new());
        for (cut, texts) in formats.filter(|&(cut, _)| cut > 0) {
            if texts.is_empty() {
                any = any.min(cut);
            } else {
                repeated = repeated.min(cut);
                prefixes.extend(texts.iter().map(|text| text.as_bytes().into()));
            }
        }
        Self { any, repeated, prefixes, least: any.min(repeated) }
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
}

impl<'l> Written<'l> {
    /// The record of a line, of a line that is too long the part that is looked at.
    pub(crate) fn new(line: &'l [u8], envelope: &Envelope, rule: &Rule, is_too_long: bool) -> Self {
        let message = &line[envelope.message..envelope.end];
        let prefix = rule.prefix(message);
        let least = if prefix.is_empty() { rule.any } else { rule.any.min(rule.repeated) };
        Self {
            host: envelope.host.of(line),
            tag: envelope.tag.map_or(&[], |tag| tag.of(line)),
            prefix,
            is_cut: is_too_long || message.len() >= least,
        }
    }

    /// The names of its writer: by host and tag, and where something is repeated, by that as well.
    fn keys(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        // Neither host nor tag holds a blank.
        let key = |prefix: &[u8]| [self.host, b" ", self.tag, b" ", prefix].concat();
        std::iter::once(key(&[])).chain((!self.prefix.is_empty()).then(|| key(self.prefix)))
    }
}

/// The writers whose last record was a cut one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts {
    /// By writer, the number of its cut record.
    open: HashMap<Box<[u8]>, u64, foldhash::fast::RandomState>,
    /// Cut records met.
    met: u64,
}

impl Cuts {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes the next record; whether it continues a cut one.
    pub(crate) fn take(&mut self, written: &Written<'_>) -> bool {
        let continues = !self.open.is_empty() && self.end(written);
        if written.is_cut {
            self.met += 1;
            for key in written.keys() {
                self.open.insert(key.into(), self.met);
            }
            self.forget();
        }
        continues
    }

    /// The same of a record that later Cuts have taken already: they know what it begins, these what it ends.
    pub(crate) fn pass(&mut self, written: &Written<'_>) -> bool {
        let continues = self.end(written);
        self.met += u64::from(written.is_cut);
        continues
    }

    /// Goes on where `later` ended, which began empty after `met` cut records.
    pub(crate) fn go_on(&mut self, met: u64, later: &Self) {
        self.open.extend(later.open.iter().map(|(key, number)| (key.clone(), met + number)));
        self.met = met + later.met;
        self.forget();
    }

    /// Cut records met so far.
    pub(crate) fn met(&self) -> u64 {
        self.met
    }

    fn end(&mut self, written: &Written<'_>) -> bool {
        // Both are ended, whichever was there.
        written.keys().fold(false, |ended, key| {
            let open = self.open.remove(&key[..]);
            ended | open.is_some_and(|number| self.met - number < REMEMBERED)
        })
    }

    fn forget(&mut self) {
        // A record has two keys at most, and a pass over all of them must be rare.
        if self.open.len() as u64 > 4 * REMEMBERED {
            let met = self.met;
            self.open.retain(|_, number| met - *number < REMEMBERED);
        }
    }
}

#[cfg(test)]
mod tests;
