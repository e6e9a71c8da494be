//! Which of a tag's patterns can match a message at all, by the literal text each must start with.
//!
//! One walk along the message's first bytes through a trie of all prefixes gives the patterns worth running, and how
//! much of the message each has taken already; most lines of a known tag have none. It may name too many patterns,
//! never too few.

use std::sync::OnceLock;

use hashbrown::HashMap;

use crate::pattern::engine::Engine;

/// No edge leads back to the root, whose row is the first.
const DEAD: u32 = 0;
const ROOT: usize = 0;

/// States of one trie; beyond, patterns are run from the message's start.
const STATES: usize = 1 << 15;

/// Marks an edge to a state where a prefix ends.
const ACCEPTS: u32 = 1 << 31;

/// A pattern that is worth running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// Its position among the patterns.
    pub(crate) pattern: u16,
    /// Which of its prefixes the message starts with, from 1; 0 when it is to be run from the message's start.
    pub(crate) prefix: u16,
}

/// A trie of prefixes over byte classes.
#[derive(Clone, Debug)]
pub(crate) struct Prefixes {
    class: [u8; 256],
    /// Log2 of the length of a state's row.
    stride: usize,
    /// `next[row + class]`: the row of a state, marked; rows and not states, because a step then waits for nothing but
    /// the load of the one before.
    next: Vec<u32>,
    /// For each state where a prefix ends, and for the root, the patterns whose prefixes end on the way to it, in their
    /// order: a state is reached in one way only, so the last such state of a message names all of them.
    accepts: Vec<Vec<Candidate>>,
    /// For such a state, what the bytes behind it leave of its patterns; made when a message first gets there.
    narrowed: Vec<OnceLock<Narrowed>>,
}

/// What the bytes behind a text leave of the patterns that a message with this start may match: all of them walked at
/// once. Many of a server's patterns begin alike with what is no literal text, and go on with other words than most of its
/// messages; to start an engine takes as long as ten steps here.
#[derive(Clone, Debug)]
struct Narrowed {
    /// For each place that has been followed up, the place behind each byte.
    next: Vec<[u8; 256]>,
    /// For each place, the patterns that are left. Places that have been followed up come first.
    lists: Vec<Box<[Candidate]>>,
}

/// So many patterns are run at once.
const FEW: usize = 2;

/// How many bytes are looked at: `: Info: Di` tells Dovecot's patterns from most of what it logs.
const DEPTH: usize = 10;

/// Places of one `Narrowed`, at 256 bytes each.
const PLACES: usize = 24;

/// Marks that a byte leads to a place for which there was no room: then the patterns of the place before it are left.
const STOP: u8 = u8::MAX;

impl Narrowed {
    fn new<'e>(candidates: &[Candidate], text: &[u8], engine: impl Fn(Candidate) -> &'e Engine) -> Self {
        let start: Vec<(Candidate, usize)> =
            candidates.iter().filter_map(|&one| Some((one, engine(one).after(text)?))).collect();
        let mut numbers: HashMap<_, _, foldhash::fast::RandomState> = HashMap::default();
        numbers.insert(start.clone(), 0);
        let classes = joint_classes(start.iter().filter_map(|&(one, _)| engine(one).classes()));
        let (mut places, mut next) = (vec![start], Vec::new());
        for _ in 0..DEPTH {
            for place in next.len()..places.len().min(PLACES) {
                let here = places[place].clone();
                // What was found of a class of bytes.
                let mut found = [None; 256];
                next.push(std::array::from_fn(|byte| {
                    *found[usize::from(classes[byte])].get_or_insert_with(|| {
                        let step = |&(one, state)| Some((one, engine(one).step(state, byte as u8)?));
                        let there: Vec<_> = here.iter().filter_map(step).collect();
                        if let Some(&known) = numbers.get(&there) {
                            return known;
                        }
                        if places.len() == usize::from(STOP) {
                            return STOP;
                        }
                        let number = places.len() as u8;
                        numbers.insert(there.clone(), number);
                        places.push(there);
                        number
                    })
                }));
            }
        }
        let lists = places.iter().map(|place| place.iter().map(|&(one, _)| one).collect()).collect();
        Self { next, lists }
    }

    #[inline]
    fn candidates(&self, rest: &[u8]) -> &[Candidate] {
        let mut place = 0;
        for &byte in rest.iter().take(DEPTH) {
            match self.next.get(place).map(|row| row[usize::from(byte)]) {
                None | Some(STOP) => break,
                Some(next) => place = usize::from(next),
            }
        }
        &self.lists[place]
    }
}

impl Prefixes {
    /// The trie of the prefixes of patterns numbered in their order; fewer than 65,536.
    pub(crate) fn new(patterns: &[&[Vec<u8>]]) -> Self {
        let mut class = [0; 256];
        let mut classes = 1usize;
        for &byte in patterns.iter().copied().flatten().flatten() {
            // Class 0 is for bytes of no prefix, and for the last one should prefixes hold all 256.
            if class[usize::from(byte)] == 0 && classes < 256 {
                class[usize::from(byte)] = classes as u8;
                classes += 1;
            }
        }
        let stride = classes.next_power_of_two().trailing_zeros() as usize;
        let mut trie =
            Self { class, stride, next: vec![DEAD; 1 << stride], accepts: vec![Vec::new()], narrowed: Vec::new() };
        for (number, prefixes) in patterns.iter().enumerate() {
            for (prefix, text) in prefixes.iter().enumerate() {
                let found = trie.insert(text).map(|state| (state, prefix as u16 + 1));
                let (state, prefix) = found.unwrap_or((ROOT, 0));
                let row = (state << stride) as u32;
                trie.next.iter_mut().filter(|next| **next == row && row != DEAD).for_each(|next| *next |= ACCEPTS);
                trie.accepts[state].push(Candidate { pattern: number as u16, prefix });
            }
        }
        trie.inherit();
        trie.narrowed.resize_with(trie.accepts.len(), OnceLock::new);
        trie
    }

    /// Gives each state where a prefix ends the patterns of those before it. A state is numbered after those before it.
    fn inherit(&mut self) {
        let mut nearest = vec![ROOT; self.accepts.len()];
        for state in 0..self.accepts.len() {
            let own = std::mem::take(&mut self.accepts[state]);
            if state != ROOT && !own.is_empty() {
                let mut all = [&self.accepts[nearest[state]][..], &own].concat();
                all.sort_unstable();
                all.dedup_by_key(|candidate| candidate.pattern);
                self.accepts[state] = all;
                nearest[state] = state;
            } else {
                self.accepts[state] = own;
            }
            let row = state << self.stride;
            for next in self.next[row..row + (1 << self.stride)].iter().filter(|next| **next != DEAD) {
                nearest[(next & !ACCEPTS) as usize >> self.stride] = nearest[state];
            }
        }
    }

    /// The state at the end of a text; `None` when the trie cannot tell it from others.
    fn insert(&mut self, text: &[u8]) -> Option<usize> {
        let mut state = ROOT;
        for &byte in text {
            let class = usize::from(self.class[usize::from(byte)]);
            if class == 0 {
                return None;
            }
            let edge = (state << self.stride) + class;
            if self.next[edge] == DEAD {
                if self.accepts.len() == STATES {
                    return None;
                }
                self.next[edge] = (self.accepts.len() << self.stride) as u32;
                self.accepts.push(Vec::new());
                self.next.resize(self.next.len() + (1 << self.stride), DEAD);
            }
            state = (self.next[edge] & !ACCEPTS) as usize >> self.stride;
        }
        Some(state)
    }

    /// The patterns worth running, in their order. `engine` gives that of each.
    #[inline]
    pub(crate) fn candidates<'e>(&self, message: &[u8], engine: impl Fn(Candidate) -> &'e Engine) -> &[Candidate] {
        let (mut row, mut last, mut end) = (0, ROOT, 0);
        for (at, &byte) in message.iter().enumerate() {
            let next = self.next[row + usize::from(self.class[usize::from(byte)])];
            if next == DEAD {
                break;
            }
            row = (next & !ACCEPTS) as usize;
            if next & ACCEPTS != 0 {
                (last, end) = (row, at + 1);
            }
        }
        let state = last >> self.stride;
        let all = &self.accepts[state];
        if all.len() <= FEW {
            return all;
        }
        let narrowed = self.narrowed[state].get_or_init(|| Narrowed::new(all, &message[..end], engine));
        narrowed.candidates(&message[end..])
    }
}

/// The bytes that none of some tables of classes tells apart.
fn joint_classes<'t>(tables: impl Iterator<Item = &'t [u8; 256]>) -> [u8; 256] {
    let mut joint = [0u8; 256];
    for table in tables {
        let mut numbers: HashMap<(u8, u8), u8, foldhash::fast::RandomState> = HashMap::default();
        for (joint, &class) in joint.iter_mut().zip(table) {
            let number = numbers.len() as u8;
            *joint = *numbers.entry((*joint, class)).or_insert(number);
        }
    }
    joint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn candidates(engines: &[Engine], message: &[u8]) -> Vec<Candidate> {
        let prefixes: Vec<&[Vec<u8>]> = engines.iter().map(Engine::prefixes).collect();
        let engine = |candidate: Candidate| &engines[usize::from(candidate.pattern)];
        Prefixes::new(&prefixes).candidates(message, engine).to_vec()
    }

    fn engines(patterns: &[&str]) -> Vec<Engine> {
        patterns.iter().map(|pattern| Engine::new(pattern).unwrap()).collect()
    }

    #[test]
    fn only_patterns_whose_start_fits_are_worth_running() {
        let engines = engines(&[
            "(?:imap|pop3)-login: Login: .*",
            "imap-login: .*",
            "[^ ]+ x",
            "(?i:login) .*",
            "",
            "LOGIN(?:, a)?",
        ]);
        let numbers = |message: &[u8]| candidates(&engines, message).iter().map(|one| one.pattern).collect::<Vec<_>>();
        assert_eq!(numbers(b"imap-login: Login: u"), [0, 1]);
        assert_eq!(numbers(b"pop3-login: Logout"), [2, 4]);
        assert_eq!(numbers(b"LoGiN u"), [3]);
        assert_eq!(numbers(b"LoGiN x"), [2, 3]);
        assert_eq!(numbers(b"LOGIN, a"), [5]);
        assert_eq!(numbers(b"LOGIN, b"), []);
        assert_eq!(numbers(b"LOGIN"), [2, 5]);
        assert_eq!(numbers(b""), [2, 4]);
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
        let engines = engines(&patterns);
        let mut random = Random::new(7);
        let mut matches = 0;
        for _ in 0..40_000 {
            let message: Vec<u8> = (0..random.below(7)).map(|_| b"abcdefxyAB"[random.below(10)]).collect();
            let worth = candidates(&engines, &message);
            for (number, engine) in engines.iter().enumerate() {
                let from_start = engine.run(&mut engine.cache(), &message, 0, 0);
                let candidate = worth.iter().find(|candidate| usize::from(candidate.pattern) == number);
                let found =
                    candidate.and_then(|one| engine.run(&mut engine.cache(), &message, 0, usize::from(one.prefix)));
                assert_eq!(found, from_start, "{} {}", patterns[number], message.escape_ascii());
                matches += usize::from(found.is_some());
            }
        }
        assert!(matches > 1_000, "only {matches} matches");
    }

    #[test]
    fn prefixes_of_all_bytes_still_hide_no_pattern() {
        let bytes: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte, b'x']).collect();
        let trie = Prefixes::new(&[&bytes]);
        for byte in 0..=255 {
            let found = trie.candidates(&[byte, b'x', b'y'], |_| unreachable!());
            assert_eq!(found.iter().map(|one| one.pattern).collect::<Vec<_>>(), [0]);
        }
    }
}
