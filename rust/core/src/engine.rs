//! One whole-message pattern and the engine that runs it.
//!
//! The one-pass DFA finds captures in one walk over the message; it takes every built-in pattern (linted). A site's own
//! pattern that is not one-pass runs on `meta::Regex` with the same meaning. Both are leftmost-first and match bytes.

use regex_automata::dfa::onepass;
use regex_automata::meta;
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::{NonMaxUsize, PatternID};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

use crate::envelope::Span;

/// Slots of the overall match and of the explicit groups that are looked at: five groups, two ends each.
const NAMES: [&str; 5] = ["ip", "user", "session", "lip", "tls"];

/// What the groups of a pattern took of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) ip: Option<Span>,
    pub(crate) user: Option<Span>,
    pub(crate) session: Option<Span>,
    pub(crate) lip: Option<Span>,
    pub(crate) tls: Option<Span>,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    kind: Kind,
    /// Slot of each name's start, in the order of `NAMES`.
    slots: [Option<usize>; NAMES.len()],
    slot_count: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    OnePass(Box<onepass::DFA>),
    Meta(Box<meta::Regex>),
}

/// The memory that a running engine writes to; one for each engine and thread.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    kind: CacheKind,
    slots: Vec<Option<NonMaxUsize>>,
}

#[derive(Clone, Debug)]
enum CacheKind {
    OnePass(onepass::Cache),
    Meta(Box<meta::Cache>),
}

impl Engine {
    /// Compiles a pattern for whole messages. The error is the reason in one line.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        parse(pattern)?;
        let whole = whole(pattern);
        let kind = if let Ok(dfa) = one_pass_builder().build(&whole) {
            Kind::OnePass(Box::new(dfa))
        } else {
            let config = meta::Config::new().utf8_empty(false);
            let built = meta::Builder::new().configure(config).syntax(syntax_config()).build(&whole);
            Kind::Meta(Box::new(built.map_err(|error| one_line(&error))?))
        };
        let groups = match &kind {
            Kind::OnePass(dfa) => dfa.get_nfa().group_info(),
            Kind::Meta(regex) => regex.group_info(),
        };
        let slots = NAMES.map(|name| groups.to_index(PatternID::ZERO, name).map(|index| index * 2));
        let slot_count = slots.iter().flatten().max().map_or(0, |&start| start + 2);
        Ok(Self { kind, slots, slot_count })
    }

    /// Whether the pattern has the group of this name at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        NAMES.iter().zip(self.slots).any(|(&known, slot)| known == name && slot.is_some())
    }

    pub(crate) fn cache(&self) -> Cache {
        let kind = match &self.kind {
            Kind::OnePass(dfa) => CacheKind::OnePass(dfa.create_cache()),
            Kind::Meta(regex) => CacheKind::Meta(Box::new(regex.create_cache())),
        };
        Cache { kind, slots: vec![None; self.slot_count] }
    }

    /// What the groups took, when the whole of `line[message..]` matches; spans are of `line`.
    pub(crate) fn run(&self, cache: &mut Cache, line: &[u8], message: usize) -> Option<Groups> {
        let input = Input::new(&line[message..]).anchored(Anchored::Yes);
        let slots = &mut cache.slots[..];
        let found = match (&self.kind, &mut cache.kind) {
            // An anchored search of one pattern is supported by every one-pass DFA, so there is no error to see.
            (Kind::OnePass(dfa), CacheKind::OnePass(cache)) => dfa.try_search_slots(cache, &input, slots).ok()?,
            (Kind::Meta(regex), CacheKind::Meta(cache)) => regex.search_slots_with(cache, &input, slots),
            _ => unreachable!("a cache is made by its own engine"),
        };
        found?;
        let group = |name: usize| {
            let start = self.slots[name]?;
            Some(Span::new(message + slots[start]?.get(), message + slots[start + 1]?.get()))
        };
        Some(Groups { ip: group(0), user: group(1), session: group(2), lip: group(3), tls: group(4) })
    }
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

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

fn one_pass_builder() -> onepass::Builder {
    let mut builder = onepass::DFA::builder();
    builder.syntax(syntax_config()).thompson(thompson::Config::new().utf8(false));
    builder
}

/// An error and its causes as one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pattern: &str, message: &[u8]) -> Option<Groups> {
        let engine = Engine::new(pattern).unwrap();
        engine.run(&mut engine.cache(), message, 0)
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
