//! One whole-message pattern and the engine that runs it.
//!
//! `Walk` takes one-pass patterns, which all built-in ones are (linted). A site's own pattern that is not one-pass runs
//! on `meta::Regex` with the same meaning: leftmost-first, on bytes, to the message's end.

use regex_automata::dfa::onepass;
use regex_automata::meta;
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::captures::GroupInfo;
use regex_automata::util::primitives::{NonMaxUsize, PatternID};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;

use crate::pattern::onepass::{NO_SLOT, SLOTS, Walk};
use crate::span::Span;

/// Bytes of a prefix beyond which one more tells patterns apart no better; 32 covers a server's longest fixed start.
const PREFIX_LEN: usize = 32;

/// Prefixes that one pattern may add; `(?:imap|pop3|submission)-login: (?:Login|Logged in): ` has 6.
const PREFIXES: usize = 64;

/// The groups that are looked at; two slots each.
const NAMES: [&str; SLOTS / 2] = ["ip", "user", "session", "lip", "tls", "pid"];

/// What the groups of a pattern took of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) ip: Option<Span>,
    pub(crate) user: Option<Span>,
    pub(crate) session: Option<Span>,
    pub(crate) lip: Option<Span>,
    pub(crate) tls: Option<Span>,
    pub(crate) pid: Option<Span>,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    kind: Kind,
    /// The engine's slot of each name's start, in the order of `NAMES`.
    slots: [Option<usize>; NAMES.len()],
    prefixes: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Kind {
    Walk(Box<Walk>),
    Meta(Box<meta::Regex>),
}

/// The memory that a running engine writes to, where it needs any; one for each engine and thread.
#[derive(Clone, Debug)]
pub(crate) struct Cache(Option<(Box<meta::Cache>, Vec<Option<NonMaxUsize>>)>);

impl Engine {
    /// Compiles a pattern for whole messages. The error is the reason in one line.
    #[cfg(test)]
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        Self::of(pattern, &parse(pattern)?)
    }

    /// The same with the pattern's structure, which `parse` gives.
    pub(crate) fn of(pattern: &str, structure: &Hir) -> Result<Self, String> {
        let prefixes = prefixes(structure);
        let nfa = NFA::compiler().configure(thompson_config()).build_from_hir(structure);
        let nfa = nfa.map_err(|error| one_line(&error))?;
        let slots = slots(nfa.group_info());
        let slot_of = |slot: usize| {
            let name = slots.iter().position(|&start| start.is_some_and(|start| slot == start || slot == start + 1))?;
            Some(name * 2 + slot % 2)
        };
        match Walk::new(&nfa, slot_of, &prefixes) {
            Some(walk) => Ok(Self { kind: Kind::Walk(Box::new(walk)), slots, prefixes }),
            None => Self::without_walk(pattern, prefixes),
        }
    }

    /// The same by the engine for all patterns.
    pub(crate) fn without_walk(pattern: &str, prefixes: Vec<Vec<u8>>) -> Result<Self, String> {
        let config = meta::Config::new().utf8_empty(false);
        let built = meta::Builder::new().configure(config).syntax(syntax_config()).build(&whole(pattern));
        let regex = built.map_err(|error| one_line(&error))?;
        Ok(Self { slots: slots(regex.group_info()), kind: Kind::Meta(Box::new(regex)), prefixes })
    }

    #[cfg(test)]
    pub(crate) fn walks(&self) -> bool {
        matches!(self.kind, Kind::Walk(_))
    }

    /// Whether the pattern has the group of this name at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        NAMES.iter().zip(self.slots).any(|(&known, slot)| known == name && slot.is_some())
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache(match &self.kind {
            Kind::Walk(_) => None,
            Kind::Meta(regex) => {
                let slots = regex.group_info().slot_len();
                Some((Box::new(regex.create_cache()), vec![None; slots]))
            }
        })
    }

    /// Texts one of which every match starts with.
    pub(crate) fn prefixes(&self) -> &[Vec<u8>] {
        &self.prefixes
    }

    /// The state behind a text with which a message starts; `None` when no message that matches starts so.
    pub(crate) fn after(&self, text: &[u8]) -> Option<usize> {
        match &self.kind {
            Kind::Walk(walk) => walk.after(text),
            Kind::Meta(_) => Some(0),
        }
    }

    /// The classes of bytes that its states tell apart; `None` where `step` is not by bytes.
    pub(crate) fn classes(&self) -> Option<&[u8; 256]> {
        match &self.kind {
            Kind::Walk(walk) => Some(walk.classes()),
            Kind::Meta(_) => None,
        }
    }

    /// The state behind one more byte.
    pub(crate) fn step(&self, state: usize, byte: u8) -> Option<usize> {
        match &self.kind {
            Kind::Walk(walk) => walk.step(state, byte),
            Kind::Meta(_) => Some(0),
        }
    }

    /// What the groups took, when the whole of `line[message..]` matches; spans are of `line`. `prefix` is the number,
    /// from 1, of a prefix that the message is known to start with, or 0.
    #[inline]
    pub(crate) fn run(&self, cache: &mut Cache, line: &[u8], message: usize, prefix: usize) -> Option<Groups> {
        let text = &line[message..];
        let group: [Option<Span>; NAMES.len()] = match (&self.kind, &mut cache.0) {
            (Kind::Walk(walk), _) => {
                let slots = walk.run(text, prefix)?;
                std::array::from_fn(|name| {
                    let (start, end) = (slots[name * 2], slots[name * 2 + 1]);
                    (end != NO_SLOT).then(|| Span::new(message + usize::from(start), message + usize::from(end)))
                })
            }
            (Kind::Meta(regex), Some((cache, slots))) => {
                regex.search_slots_with(cache, &Input::new(text).anchored(Anchored::Yes), slots)?;
                std::array::from_fn(|name| {
                    let start = self.slots[name]?;
                    Some(Span::new(message + slots[start]?.get(), message + slots[start + 1]?.get()))
                })
            }
            (Kind::Meta(_), None) => unreachable!("a cache is made by its own engine"),
        };
        let [ip, user, session, lip, tls, pid] = group;
        Some(Groups { ip, user, session, lip, tls, pid })
    }
}

/// Texts one of which every match starts with; the empty text where nothing better is known.
pub(crate) fn prefixes(pattern: &Hir) -> Vec<Vec<u8>> {
    let mut extractor = Extractor::new();
    extractor.limit_literal_len(PREFIX_LEN).limit_total(PREFIXES);
    let found = extractor.extract(pattern);
    found.literals().map_or_else(|| vec![Vec::new()], |all| all.iter().map(|one| one.as_bytes().to_vec()).collect())
}

/// Slot of each name's start, in the order of `NAMES`.
fn slots(groups: &GroupInfo) -> [Option<usize>; NAMES.len()] {
    NAMES.map(|name| groups.slot(PatternID::ZERO, groups.to_index(PatternID::ZERO, name)?))
}

/// Compiles a pattern for the start of messages.
pub(crate) fn probe(pattern: &str) -> Result<meta::Regex, String> {
    parse(pattern)?;
    let config = meta::Config::new().utf8_empty(false);
    let built = meta::Builder::new().configure(config).syntax(syntax_config()).build(&format!("(?:{pattern})"));
    built.map_err(|error| one_line(&error))
}

/// `None` when the pattern for whole messages is one-pass, else why not, in one line.
///
/// # Errors
/// The reason in one line when it is no pattern at all.
pub fn one_pass(pattern: &str) -> Result<Option<String>, String> {
    parse(pattern)?;
    Ok(one_pass_builder().build(&whole(pattern)).err().map(|error| one_line(&error)))
}

/// The structure of a pattern, by which literals are taken from it.
pub(crate) fn parse(pattern: &str) -> Result<Hir, String> {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
    parser.parse(pattern).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => {
            format!("{} at byte {}", error.kind(), error.span().start.offset)
        }
        regex_syntax::Error::Translate(error) => {
            format!("{} at byte {}", error.kind(), error.span().start.offset)
        }
        error => one_line(&error),
    })
}

fn whole(pattern: &str) -> String {
    format!(r"(?:{pattern})\z")
}

pub(crate) fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

fn thompson_config() -> thompson::Config {
    thompson::Config::new().utf8(false)
}

fn one_pass_builder() -> onepass::Builder {
    let mut builder = onepass::DFA::builder();
    builder.syntax(syntax_config()).thompson(thompson_config());
    builder
}

/// An error and its causes as one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether group `ip` takes part in every match: it is outside alternatives and optional parts.
pub(crate) fn always_takes_ip(pattern: &Hir) -> bool {
    use regex_syntax::hir::HirKind;
    match pattern.kind() {
        HirKind::Capture(group) => group.name.as_deref() == Some("ip") || always_takes_ip(&group.sub),
        HirKind::Concat(parts) => parts.iter().any(always_takes_ip),
        HirKind::Alternation(parts) => parts.iter().all(always_takes_ip),
        HirKind::Repetition(repetition) => repetition.min > 0 && always_takes_ip(&repetition.sub),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pattern: &str, message: &[u8]) -> Option<Groups> {
        let engine = Engine::new(pattern).unwrap();
        engine.run(&mut engine.cache(), message, 0, 0)
    }

    #[test]
    fn a_pattern_matches_whole_messages_only() {
        let ip = |message: &[u8]| groups("in (?P<ip>[0-9.]+)(?:, tls)?", message).and_then(|groups| groups.ip);
        assert_eq!(ip(b"in 192.0.2.1"), Some(Span::new(3, 12)));
        assert_eq!(ip(b"in 192.0.2.1, tls"), Some(Span::new(3, 12)));
        for message in [&b"in 192.0.2.1 "[..], b" in 192.0.2.1", b"in 192.0.2.1\n", b"in "] {
            assert_eq!(ip(message), None);
        }
    }

    #[test]
    fn alternatives_are_whole_too_and_bytes_are_bytes() {
        assert_eq!(groups("a|b(?P<user>.*)", b"ax"), None);
        let user = groups("a|b(?P<user>.*)", b"b\xff\x00\xc3").and_then(|groups| groups.user);
        assert_eq!(user, Some(Span::new(1, 4)));
    }

    #[test]
    fn engines_agree_where_the_one_pass_refuses() {
        let pattern = "u=(?P<user>.*), ip=(?P<ip>[0-9.]+)";
        assert!(one_pass(pattern).unwrap().is_some_and(|reason| !reason.contains('\n')));
        let found = groups(pattern, b"u=a, ip=1, ip=2").unwrap();
        assert_eq!((found.user, found.ip), (Some(Span::new(2, 9)), Some(Span::new(14, 15))));
        assert_eq!(one_pass("u=(?P<user>[^,]*), ip=(?P<ip>[0-9.]+)"), Ok(None));
    }

    #[test]
    fn what_is_no_pattern_says_why_in_one_line() {
        for pattern in ["(", "a{2", "(?P<ip>a", r"(?=a)", "[z-a]"] {
            let reason = one_pass(pattern).unwrap_err();
            assert!(!reason.contains('\n') && reason.contains("at byte"), "{reason}");
            assert_eq!(Engine::new(pattern).unwrap_err(), reason);
        }
    }
}
