//! Patterns that are searched in whole lines, envelope included: a site's own, as the old configuration had them
//! (docs/MATCHING.md, 4).
//!
//! They are asked about nearly every line of a log and match few, so one automaton of all of them goes first. They may
//! be of any form that a linear-time engine takes; what they took is then read like any other event.

use regex_automata::Input;
use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::{NonMaxUsize, PatternID};

use crate::error::Error;
use crate::head::envelope::Envelope;
use crate::pattern::engine::{Groups, always_takes_ip, one_line, parse, syntax_config};
use crate::record::Said;
use crate::span::Span;
use crate::spec::FormatSpec;
use crate::timestamp::Timestamp;

const NAMES: [&str; 8] = ["timestamp", "host", "pid", "ip", "user", "session", "lip", "tls"];

/// All whole-line patterns of a catalogue, in the order in which they decide.
#[derive(Debug)]
pub(crate) struct WholeLines {
    /// Says whether one of them matches; does not say which.
    any: meta::Regex,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) format: u16,
    /// `Login` or `Logout`.
    pub(crate) said: Said,
    pub(crate) has_tls: bool,
    /// Whether it is a logout that may need the address of its session.
    pub(crate) needs_sessions: bool,
    regex: meta::Regex,
    /// The slot of each group's start.
    slots: [Option<usize>; NAMES.len()],
}

impl WholeLines {
    /// The whole-line patterns of some formats; `None` where no format has any.
    pub(crate) fn new(specs: &[FormatSpec]) -> Result<Option<Self>, Error> {
        let (mut patterns, mut texts) = (Vec::new(), Vec::new());
        for (format, spec) in specs.iter().enumerate() {
            let lists =
                [("line_login", &spec.line_login, Said::Login), ("line_logout", &spec.line_logout, Said::Logout)];
            for (list, texts_of, said) in lists {
                for (i, text) in texts_of.iter().enumerate() {
                    let failed = |reason| Error::Pattern { format: spec.name.clone(), list, number: i + 1, reason };
                    patterns.push(Pattern::new(format as u16, said, text).map_err(failed)?);
                    texts.push(text);
                }
            }
        }
        if patterns.is_empty() {
            return Ok(None);
        }
        let config = config().which_captures(WhichCaptures::None);
        let any = meta::Builder::new().configure(config).syntax(syntax_config()).build_many(&texts);
        let failed = |error| {
            let format = specs[usize::from(patterns[0].format)].name.clone();
            let reason = format!("with those of all formats: {}", one_line(&error));
            Error::Pattern { format, list: "line_login or line_logout", number: 1, reason }
        };
        Ok(Some(Self { any: any.map_err(failed)?, patterns }))
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether a pattern matches somewhere in the line.
    pub(crate) fn matches(&self, line: &[u8]) -> bool {
        self.any.is_match(line)
    }

    /// The first pattern that matches somewhere in the line, and what its groups took.
    pub(crate) fn find(&self, line: &[u8]) -> Option<(&Pattern, Envelope, Groups)> {
        if !self.matches(line) {
            return None;
        }
        self.patterns.iter().find_map(|pattern| {
            let (envelope, groups) = pattern.find(line)?;
            Some((pattern, envelope, groups))
        })
    }
}

impl Pattern {
    fn new(format: u16, said: Said, text: &str) -> Result<Self, String> {
        let structure = parse(text)?;
        let regex = meta::Builder::new().configure(config()).syntax(syntax_config()).build(text);
        let regex = regex.map_err(|error| one_line(&error))?;
        let groups = regex.group_info();
        let slots = NAMES.map(|name| groups.slot(PatternID::ZERO, groups.to_index(PatternID::ZERO, name)?));
        let [timestamp, _, _, _, _, session, _, tls] = slots;
        if timestamp.is_none() {
            return Err("it has no group 'timestamp', which says where in the line the timestamp is".to_owned());
        }
        let needs_sessions = said == Said::Logout && session.is_some() && !always_takes_ip(&structure);
        Ok(Self { format, said, has_tls: tls.is_some(), needs_sessions, regex, slots })
    }

    /// What the leftmost match says of the line: its envelope, which here is what groups took, and the rest.
    fn find(&self, line: &[u8]) -> Option<(Envelope, Groups)> {
        let mut slots: Vec<Option<NonMaxUsize>> = vec![None; self.regex.group_info().slot_len()];
        self.regex.search_slots(&Input::new(line), &mut slots)?;
        let [timestamp, host, pid, ip, user, session, lip, tls] = self.slots.map(|slot| {
            let slot = slot?;
            Some(Span::new(slots[slot]?.get(), slots[slot + 1]?.get()))
        });
        let envelope = Envelope {
            timestamp: timestamp.and_then(|span| Timestamp::whole(line, span)),
            host: host.unwrap_or_default(),
            tag: None,
            pid: pid.unwrap_or_default(),
            message: 0,
            end: line.len(),
        };
        Some((envelope, Groups { ip, user, session, lip, tls, pid: None }))
    }
}

fn config() -> meta::Config {
    meta::Config::new().utf8_empty(false)
}

#[cfg(test)]
mod tests;
