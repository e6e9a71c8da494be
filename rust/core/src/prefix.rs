//! Which of a tag's patterns can match a message at all, by the literal text each must start with.
//!
//! One walk along the message's first bytes through a trie of all prefixes gives the patterns worth running; most
//! lines of a known tag have none. It may name too many patterns, never too few.

use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;

/// Bytes of a prefix beyond which one more tells patterns apart no better; 32 covers a server's longest fixed start.
const PREFIX_LEN: usize = 32;

/// Prefixes that one pattern may add; `(?:imap|pop3|submission)-login: (?:Login|Logged in): ` has 6.
const PREFIXES: usize = 64;

const DEAD: u16 = 0;
const ROOT: u16 = 1;

/// A trie of prefixes over byte classes.
#[derive(Clone, Debug)]
pub(crate) struct Prefixes {
    class: [u8; 256],
    classes: usize,
    /// `next[state * classes + class]`.
    next: Vec<u16>,
    /// Patterns whose prefix ends at a state.
    accepts: Vec<Vec<u16>>,
}

impl Prefixes {
    /// The trie of patterns numbered in their order; fewer than 65,536.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a Hir>) -> Self {
        let literals: Vec<Vec<Vec<u8>>> = patterns.map(prefixes).collect();
        let mut class = [0; 256];
        let mut classes = 1;
        for &byte in literals.iter().flatten().flatten() {
            // Class 0 is for bytes of no prefix. Should all 256 be in prefixes, the last one shares it, which could
            // only add candidates.
            if class[usize::from(byte)] == 0 && classes < 256 {
                class[usize::from(byte)] = classes as u8;
                classes += 1;
            }
        }
        let mut trie = Self { class, classes, next: vec![DEAD; 2 * classes], accepts: vec![Vec::new(); 2] };
        for (number, literals) in literals.iter().enumerate() {
            for literal in literals {
                trie.insert(literal, number as u16);
            }
        }
        trie
    }

    fn insert(&mut self, literal: &[u8], pattern: u16) {
        let mut state = ROOT;
        for &byte in literal {
            let edge = usize::from(state) * self.classes + usize::from(self.class[usize::from(byte)]);
            if self.next[edge] == DEAD {
                let Ok(new) = u16::try_from(self.accepts.len()) else {
                    break;
                };
                self.next[edge] = new;
                self.accepts.push(Vec::new());
                self.next.resize(self.next.len() + self.classes, DEAD);
            }
            state = self.next[edge];
        }
        let accepts = &mut self.accepts[usize::from(state)];
        if accepts.last() != Some(&pattern) {
            accepts.push(pattern);
        }
    }

    /// Puts the numbers of the patterns worth running into `candidates`, ascending.
    pub(crate) fn candidates(&self, message: &[u8], candidates: &mut Vec<u16>) {
        candidates.clear();
        candidates.extend_from_slice(&self.accepts[usize::from(ROOT)]);
        let mut state = ROOT;
        for &byte in message {
            state = self.next[usize::from(state) * self.classes + usize::from(self.class[usize::from(byte)])];
            if state == DEAD {
                break;
            }
            candidates.extend_from_slice(&self.accepts[usize::from(state)]);
        }
        if candidates.len() > 1 {
            candidates.sort_unstable();
            candidates.dedup();
        }
    }
}

/// Texts one of which every match starts with; the empty text where nothing better is known.
fn prefixes(pattern: &Hir) -> Vec<Vec<u8>> {
    let mut extractor = Extractor::new();
    extractor.limit_literal_len(PREFIX_LEN).limit_total(PREFIXES);
    let found = extractor.extract(pattern);
    found.literals().map_or_else(|| vec![Vec::new()], |all| all.iter().map(|one| one.as_bytes().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, parse};
    use crate::testing::Random;

    fn candidates(patterns: &[&str], message: &[u8]) -> Vec<u16> {
        let parsed: Vec<Hir> = patterns.iter().map(|pattern| parse(pattern).unwrap()).collect();
        let mut found = Vec::new();
        Prefixes::new(parsed.iter()).candidates(message, &mut found);
        found
    }

    #[test]
    fn only_patterns_whose_start_fits_are_worth_running() {
        let patterns =
            ["(?:imap|pop3)-login: Login: .*", "imap-login: .*", "[^ ]+ x", "(?i:login) .*", "", "LOGIN(?:, a)?"];
        assert_eq!(candidates(&patterns, b"imap-login: Login: u"), [0, 1, 2, 4]);
        assert_eq!(candidates(&patterns, b"pop3-login: Logout"), [2, 4]);
        assert_eq!(candidates(&patterns, b"LoGiN u"), [2, 3, 4]);
        assert_eq!(candidates(&patterns, b"LOGIN, b"), [2, 4, 5]);
        assert_eq!(candidates(&patterns, b""), [2, 4]);
    }

    #[test]
    fn no_match_is_ever_missed() {
        let patterns = [
            "(?:a|b)c(?:d|e)*f.*",
            "a{2,3}b",
            "(?:ab)?c",
            "[a-f]x|y",
            "(?i:aB)c",
            "a(?:|b)c",
            "(?:a|ab)(?:c|bcd)",
            "(?:b|)a+",
        ];
        let engines: Vec<Engine> = patterns.iter().map(|pattern| Engine::new(pattern).unwrap()).collect();
        let mut random = Random::new(7);
        let mut matches = 0;
        for _ in 0..40_000 {
            let message: Vec<u8> = (0..random.below(7)).map(|_| b"abcdefxyAB"[random.below(10)]).collect();
            let worth = candidates(&patterns, &message);
            for (number, engine) in engines.iter().enumerate() {
                if engine.run(&mut engine.cache(), &message, 0).is_some() {
                    matches += 1;
                    assert!(worth.contains(&(number as u16)), "{} {}", patterns[number], message.escape_ascii());
                }
            }
        }
        assert!(matches > 1_000, "only {matches} matches");
    }
}
