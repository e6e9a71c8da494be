//! The compiled catalogue: formats, their patterns, the tags they answer to, and the zone. Immutable.

use crate::catalogue::builder::{Builder, MakeEngine};
pub use crate::catalogue::parts::SYSLOG;
pub(crate) use crate::catalogue::parts::{Format, Pattern, Target};
use crate::civil::{Reference, Zone};
use crate::error::Error;
use crate::head::envelope::{self, Envelope};
use crate::head::tags::Tags;
use crate::lines::Lines;
use crate::pattern::engine::Engine;
use crate::pattern::wholeline::WholeLines;
use crate::spec::FormatSpec;

pub(crate) mod builder;
pub(crate) mod parts;

/// Which lines a source has: syslog's, or those of one format's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Timestamp, host, tag, message.
    Syslog,
    /// Timestamp and message, of the format with this number.
    Own(u16),
}

/// Formats and a zone, compiled.
#[derive(Debug)]
pub struct Catalogue {
    pub(crate) formats: Vec<Format>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) targets: Vec<Target>,
    pub(crate) tags: Tags,
    pub(crate) whole_lines: Option<WholeLines>,
    pub(crate) zone: Zone,
    nested: Vec<(String, String)>,
}

impl Catalogue {
    /// Compiles formats, in the order in which they are tried, and a zone of `(UTC second, offset)` rows.
    ///
    /// # Errors
    /// An invalid pattern, a name given twice, an invalid zone table.
    pub fn new(specs: &[FormatSpec], zone: &[(i64, i64)]) -> Result<Self, Error> {
        Self::with_engines(specs, zone, Engine::of)
    }

    /// The same with engines of the caller's choice.
    pub(crate) fn with_engines(specs: &[FormatSpec], zone: &[(i64, i64)], engine: MakeEngine) -> Result<Self, Error> {
        let zone = Zone::new(zone)?;
        let mut builder = Builder::new(engine);
        for number in 0..specs.len() {
            let number = u16::try_from(number).map_err(|_| Error::TooMany("formats"))?;
            builder.add(number, specs)?;
        }
        let tags = builder.tags(specs)?;
        let Builder { mut formats, patterns, targets, .. } = builder;
        let whole_lines = WholeLines::new(specs)?;
        for pattern in whole_lines.iter().flat_map(WholeLines::patterns) {
            formats[usize::from(pattern.format)].needs_sessions |= pattern.needs_sessions;
        }
        let nests = |spec: &FormatSpec| {
            let tag = spec.program.iter().find(|tag| !tag.starts_with("*/"))?;
            spec.own_probe.as_ref().filter(|_| spec.own_in_syslog).map(|probe| (tag.clone(), probe.clone()))
        };
        let nested = specs.iter().filter_map(nests).collect();
        Ok(Self { formats, patterns, targets, tags, whole_lines, zone, nested })
    }

    /// Name of a format.
    #[must_use]
    pub fn format_name(&self, format: u16) -> &str {
        &self.formats[usize::from(format)].name
    }

    /// Names of all formats, by number.
    pub fn format_names(&self) -> impl Iterator<Item = &str> {
        self.formats.iter().map(|format| format.name.as_str())
    }

    /// The layout of this name: `syslog`, or that of a format that has a log of its own.
    #[must_use]
    pub fn layout(&self, name: &str) -> Option<Layout> {
        if name == SYSLOG {
            return Some(Layout::Syslog);
        }
        let format = self.formats.iter().position(|format| format.name == name && format.own.is_some())?;
        Some(Layout::Own(format as u16))
    }

    /// The name of the layout that the first conclusive line shows.
    #[must_use]
    pub fn sniff(&self, data: &[u8]) -> Option<&str> {
        Lines::new(data).filter(|line| !line.is_too_long()).find_map(|line| {
            let line = line.of(data);
            let own = |format: &&Format| {
                let Some(own) = &format.own else { return false };
                envelope::own(line, &own.prefixes).is_some_and(|found| own.starts(&line[found.message..]))
            };
            match self.formats.iter().find(own) {
                Some(format) => Some(format.name.as_str()),
                None => self.is_syslog(line).then_some(SYSLOG),
            }
        })
    }

    fn is_syslog(&self, line: &[u8]) -> bool {
        envelope::syslog(line).is_some() || self.whole_lines.as_ref().is_some_and(|patterns| patterns.matches(line))
    }

    /// The timestamp (earlier reading, UTC seconds) of one line, whatever its tag; `None` when it has no envelope or no
    /// possible date.
    #[must_use]
    pub fn timestamp(&self, line: &[u8], layout: Layout, reference: i64) -> Option<i64> {
        if line.len() > crate::MAX_LINE {
            return None;
        }
        let timestamp = self.envelope(line, layout)?.timestamp?;
        Some(timestamp.read(line)?.instant(&self.zone, Reference::new(reference))?.earlier)
    }

    pub(crate) fn envelope(&self, line: &[u8], layout: Layout) -> Option<Envelope> {
        match layout {
            Layout::Syslog => envelope::syslog(line),
            Layout::Own(format) => {
                envelope::own(line, self.formats[usize::from(format)].own.as_ref().map_or(&[], |own| &own.prefixes))
            }
        }
    }

    /// The envelope of a line, and the target of its tag or own log; `None` where no format has them.
    pub(crate) fn read(&self, line: &[u8], layout: Layout) -> Option<(Envelope, &Target)> {
        let envelope = self.envelope(line, layout)?;
        let target = match layout {
            Layout::Syslog => &self.targets[usize::from(self.tags.find(envelope.tag?.of(line))?)],
            Layout::Own(format) => self.own_target(format)?,
        };
        Some((self.second_header(line, &envelope, target).unwrap_or(envelope), target))
    }

    /// The envelope with the message behind a second header, where the message starts with one (docs/MATCHING.md, 2).
    #[inline]
    pub(crate) fn second_header(&self, line: &[u8], envelope: &Envelope, target: &Target) -> Option<Envelope> {
        // Nearly all messages start with a small letter, and no header does.
        let may_start = |byte: &u8| *byte < b'a';
        if target.nested.is_empty() || envelope.tag.is_none() || !line.get(envelope.message).is_some_and(may_start) {
            return None;
        }
        self.behind_header(line, envelope, target)
    }

    #[cold]
    fn behind_header(&self, line: &[u8], envelope: &Envelope, target: &Target) -> Option<Envelope> {
        let line = &line[..envelope.end];
        let own = |format: &u16| self.formats[usize::from(*format)].own.as_ref();
        if let Some(found) = envelope::own_at(line, envelope.message) {
            if target.nested.iter().filter_map(own).any(|own| own.starts(&line[found..])) {
                return Some(Envelope { message: found, ..*envelope });
            }
        }
        let message = &line[envelope.message..];
        let inner = envelope::syslog(message)?;
        let tagged = self.tags.find(inner.tag?.of(message))?;
        let is_same = std::ptr::eq(&raw const self.targets[usize::from(tagged)], target);
        let place = |at: usize| envelope.message + at;
        is_same.then(|| Envelope { message: place(inner.message), end: place(inner.end), ..*envelope })
    }

    /// The formats whose own lines may be messages, each as its first tag and its probe.
    pub fn nested(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nested.iter().map(|(tag, probe)| (tag.as_str(), probe.as_str()))
    }

    /// The second of a line's timestamp (UTC, the earlier of two readings); `None` where it cannot be read.
    pub(crate) fn second(&self, line: &[u8], envelope: &Envelope, reference: Reference) -> Option<i64> {
        let instant = envelope.timestamp?.read(line)?.instant(&self.zone, reference)?;
        Some(instant.earlier)
    }

    /// The target of a format's own log.
    pub(crate) fn own_target(&self, format: u16) -> Option<&Target> {
        self.formats[usize::from(format)].own.as_ref().map(|own| &self.targets[usize::from(own.target)])
    }

    /// The first of the target's formats whose success text is in the message.
    pub(crate) fn shows_success(&self, target: &Target, message: &[u8]) -> Option<u16> {
        if target.success.as_ref().is_some_and(|success| success.find(message).is_none()) {
            return None;
        }
        let shows = |text: &Vec<u8>| memchr::memmem::find(message, text).is_some();
        target.formats.iter().copied().find(|&format| self.formats[usize::from(format)].success.iter().any(shows))
    }
}
