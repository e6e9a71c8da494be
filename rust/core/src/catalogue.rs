//! The compiled catalogue: formats, their patterns, the tags they answer to, and the zone. Immutable.

use aho_corasick::packed::Searcher;
use regex_automata::meta;
use regex_syntax::hir::Hir;

use crate::civil::{Reference, Zone};
use crate::cuts::Rule;
use crate::error::Error;
use crate::head::envelope::{self, Envelope};
use crate::head::tags::Tags;
use crate::lines::Lines;
use crate::pattern::engine::{Engine, always_takes_ip, parse, probe};
use crate::pattern::prefix::Prefixes;
use crate::pattern::wholeline::WholeLines;
use crate::record::Said;
use crate::spec::FormatSpec;

/// The name of the layout that is no format's own.
pub const SYSLOG: &str = "syslog";

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
}

#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) name: String,
    success: Vec<Vec<u8>>,
    own: Option<Own>,
    /// Whether some logout of this format may need the address of its session.
    pub(crate) needs_sessions: bool,
}

#[derive(Debug)]
struct Own {
    prefixes: Vec<Box<[u8]>>,
    probe: meta::Regex,
    target: u16,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) format: u16,
    /// What a match says; never `Missed`.
    pub(crate) said: Said,
    pub(crate) has_tls: bool,
    pub(crate) engine: Engine,
}

/// What one tag, or one own log, can mean: the patterns to try, in order.
#[derive(Debug)]
pub(crate) struct Target {
    /// Pattern, and whether the tag says that its logins are over TLS.
    pub(crate) patterns: Vec<(u16, bool)>,
    pub(crate) prefixes: Prefixes,
    formats: Vec<u16>,
    /// The success texts of all its formats, looked for at once, because nearly every line holds none. `None` where
    /// there are none, or too many for that.
    success: Option<Searcher>,
    /// Which records are cut ones.
    pub(crate) cut: Rule,
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
        Ok(Self { formats, patterns, targets, tags, whole_lines, zone })
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
        Some((envelope, target))
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

impl Own {
    fn starts(&self, message: &[u8]) -> bool {
        let input = regex_automata::Input::new(message).anchored(regex_automata::Anchored::Yes).earliest(true);
        self.probe.search_half(&input).is_some()
    }
}

/// Makes the engine of a pattern and its structure, or says why not.
type MakeEngine = fn(&str, &Hir) -> Result<Engine, String>;

struct Builder {
    engine: MakeEngine,
    formats: Vec<Format>,
    patterns: Vec<Pattern>,
    /// Numbers of each format's patterns.
    of_format: Vec<Vec<u16>>,
    targets: Vec<Target>,
    /// The formats and TLS flags that each target was made for.
    made_for: Vec<Vec<(u16, bool)>>,
}

impl Builder {
    fn new(engine: MakeEngine) -> Self {
        let (formats, patterns, of_format) = Default::default();
        Self { engine, formats, patterns, of_format, targets: Vec::new(), made_for: Vec::new() }
    }

    fn add(&mut self, number: u16, specs: &[FormatSpec]) -> Result<(), Error> {
        let spec = &specs[usize::from(number)];
        if spec.name == SYSLOG || self.formats.iter().any(|format| format.name == spec.name) {
            return Err(Error::Name(spec.name.clone()));
        }
        let failed = |list, number| move |reason| Error::Pattern { format: spec.name.clone(), list, number, reason };
        let mut own_patterns = Vec::new();
        let lists = [
            ("login", &spec.login, Said::Login),
            ("logout", &spec.logout, Said::Logout),
            ("session.address", &spec.session_address, Said::Address),
            ("session.success", &spec.session_success, Said::Success),
            ("session.failure", &spec.session_failure, Said::Failure),
            ("session.end", &spec.session_end, Said::End),
            ("restart", &spec.restart, Said::Restart),
            ("killed", &spec.killed, Said::Killed),
            ("aborted", &spec.aborted, Said::Aborted),
        ];
        let mut needs_sessions = false;
        for (list, patterns, said) in lists {
            for (i, pattern) in patterns.iter().enumerate() {
                let structure = parse(pattern).map_err(failed(list, i + 1))?;
                let engine = (self.engine)(pattern, &structure).map_err(failed(list, i + 1))?;
                needs_sessions |= said == Said::Logout && engine.has("session") && !always_takes_ip(&structure);
                own_patterns.push(u16::try_from(self.patterns.len()).map_err(|_| Error::TooMany("patterns"))?);
                let said = match said {
                    Said::Login if spec.marked.contains(&(i + 1)) => Said::Marked,
                    Said::Login if spec.unmarked.contains(&(i + 1)) => Said::Unmarked,
                    _ => said,
                };
                self.patterns.push(Pattern { format: number, said, has_tls: engine.has("tls"), engine });
            }
        }
        self.of_format.push(own_patterns);
        let own = match &spec.own_probe {
            None => None,
            Some(pattern) => Some(Own {
                prefixes: spec.own_prefix.iter().map(|prefix| prefix.as_bytes().into()).collect(),
                probe: probe(pattern).map_err(failed("own_log.probe", 1))?,
                target: self.target(specs, vec![(number, false)])?,
            }),
        };
        let success = spec.success.iter().map(|text| text.clone().into_bytes()).collect();
        self.formats.push(Format { name: spec.name.clone(), success, own, needs_sessions });
        Ok(())
    }

    fn tags(&mut self, specs: &[FormatSpec]) -> Result<Tags, Error> {
        let named = || specs.iter().flat_map(|spec| spec.program.iter().chain(&spec.tls_program));
        let (mut exact, mut components) = (Vec::new(), Vec::new());
        for tag in named() {
            if let Some(component) = tag.strip_prefix("*/") {
                // It is looked up by itself, so its target is that of a tag that no list names whole.
                components.push((component, self.target(specs, fitting(specs, None, Some(component)))?));
            } else {
                let component = tag.rsplit_once('/').map(|(_, last)| last);
                exact.push((tag.as_str(), self.target(specs, fitting(specs, Some(tag), component))?));
            }
        }
        let boxed =
            |names: Vec<(&str, u16)>| names.into_iter().map(|(name, at)| (name.as_bytes().into(), at)).collect();
        Ok(Tags::new(boxed(exact), boxed(components)))
    }

    fn target(&mut self, specs: &[FormatSpec], made_for: Vec<(u16, bool)>) -> Result<u16, Error> {
        let known = self.made_for.iter().position(|known| *known == made_for);
        let number = u16::try_from(known.unwrap_or(self.targets.len())).map_err(|_| Error::TooMany("tags"))?;
        if known.is_none() {
            let patterns: Vec<(u16, bool)> = made_for
                .iter()
                .flat_map(|&(format, tls)| self.of_format[usize::from(format)].iter().map(move |&number| (number, tls)))
                .collect();
            let engine = |&(number, _): &(u16, bool)| self.patterns[usize::from(number)].engine.prefixes();
            let prefixes = Prefixes::new(&patterns.iter().map(engine).collect::<Vec<_>>());
            let formats: Vec<u16> = made_for.iter().map(|&(format, _)| format).collect();
            let spec = |&format: &u16| &specs[usize::from(format)];
            let cut = Rule::new(formats.iter().map(spec));
            let success = Searcher::new(formats.iter().flat_map(|&format| &specs[usize::from(format)].success));
            self.targets.push(Target { patterns, prefixes, formats, success, cut });
            self.made_for.push(made_for);
        }
        Ok(number)
    }
}

/// The formats that a tag, or any tag with this last component, fits; true where it is one of their TLS tags.
fn fitting(specs: &[FormatSpec], tag: Option<&str>, component: Option<&str>) -> Vec<(u16, bool)> {
    let fits = |listed: &String| match listed.strip_prefix("*/") {
        Some(last) => component == Some(last),
        None => tag == Some(listed),
    };
    let numbered = specs.iter().enumerate().map(|(number, spec)| (number as u16, spec));
    numbered
        .filter_map(|(number, spec)| {
            let tls = spec.tls_program.iter().any(fits);
            (tls || spec.program.iter().any(fits)).then_some((number, tls))
        })
        .collect()
}
