//! Formats to what a catalogue is made of: patterns, and what each tag can mean.

use aho_corasick::packed::Searcher;
use regex_syntax::hir::Hir;

use crate::catalogue::parts::{Format, Own, Pattern, SYSLOG, Target};
use crate::cuts::Rule;
use crate::error::Error;
use crate::head::tags::Tags;
use crate::pattern::engine::{Engine, always_takes_ip, parse, probe};
use crate::pattern::prefix::Prefixes;
use crate::record::Said;
use crate::spec::FormatSpec;

/// Makes the engine of a pattern and its structure, or says why not.
pub(crate) type MakeEngine = fn(&str, &Hir) -> Result<Engine, String>;

pub(crate) struct Builder {
    engine: MakeEngine,
    pub(crate) formats: Vec<Format>,
    pub(crate) patterns: Vec<Pattern>,
    /// Numbers of each format's patterns.
    of_format: Vec<Vec<u16>>,
    pub(crate) targets: Vec<Target>,
    /// The formats and TLS flags that each target was made for.
    made_for: Vec<Vec<(u16, bool)>>,
}

impl Builder {
    pub(crate) fn new(engine: MakeEngine) -> Self {
        let (formats, patterns, of_format) = Default::default();
        Self { engine, formats, patterns, of_format, targets: Vec::new(), made_for: Vec::new() }
    }

    pub(crate) fn add(&mut self, number: u16, specs: &[FormatSpec]) -> Result<(), Error> {
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

    pub(crate) fn tags(&mut self, specs: &[FormatSpec]) -> Result<Tags, Error> {
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
            let nests = |&&format: &&u16| {
                let spec = &specs[usize::from(format)];
                spec.own_in_syslog && spec.own_probe.is_some()
            };
            let nested = formats.iter().filter(nests).copied().collect();
            self.targets.push(Target { patterns, prefixes, formats, success, cut, nested });
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
