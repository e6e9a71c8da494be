//! A one-pass pattern as a table to walk along a message, once, taking captures on the way.
//!
//! A pattern is one-pass when at each byte there is one way on, so its NFA needs neither a set of states nor a stack.
//! regex-automata has such an engine; this one is for our case only (whole messages, six groups, no look-around) and
//! takes less than half its time, for three reasons: transitions are 4 bytes and carry their captures as bits, states
//! that loop on most bytes (`[^>]*`) are left by a search for the bytes that end the loop, and texts without a choice
//! (`, method=`) are compared at once.

use memchr::{memchr, memchr2, memchr3};
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use crate::pattern::alphabet::Alphabet;

/// Starts and ends of the groups that are looked at.
pub(crate) const SLOTS: usize = 12;

/// Positions of group starts and ends in a message; `NO_SLOT` where a group took no part.
pub(crate) type Slots = [u16; SLOTS];

pub(crate) const NO_SLOT: u16 = u16::MAX;

/// Largest table: 2,048 states of the widest alphabet, 2 MiB, whose rows an `Edge` can just name. Built-in patterns
/// have fewer than 1,000.
const STATES: usize = 2_048;

/// A loop on fewer bytes than this is walked: its exits are as likely as not.
const LOOP: usize = 8;

/// A shorter text is walked: a comparison costs what two steps do.
const LITERAL: usize = 3;

/// One table entry: row of the next state, whether that state has a skip, slots to set before the byte.
type Edge = u32;

const SLOT_BITS: Edge = (1 << SLOTS) - 1;
const SKIPS: Edge = 1 << SLOTS;
const ROW_SHIFT: usize = SLOTS + 1;

/// No way on. No edge leads back to the first row, because that is a row of its own.
const DEAD: Edge = 0;

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    class: [u8; 256],
    /// Log2 of the length of a row.
    stride: usize,
    edges: Vec<Edge>,
    /// For each state, the slots to set at the message's end, where it may end.
    ends: Vec<Option<u16>>,
    /// For each state, how to get further than by one byte.
    skips: Vec<Skip>,
    /// Where to begin: the message's start, then the end of each prefix.
    entries: Vec<Place>,
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: usize,
    at: usize,
    slots: Slots,
}

/// How to get on from a state by more than one byte at a time.
#[derive(Clone, Debug)]
enum Skip {
    None,
    /// It loops: up to the first of these bytes.
    Until(Box<[u8]>),
    /// It loops: over these bytes.
    Over(Box<[bool; 256]>),
    /// There is no way on but over this text, to the state of this row.
    Literal(Box<[u8]>, usize),
}

impl Walk {
    /// The table of a pattern's NFA, which is not anchored at its end. `slot_of` gives the bit of an NFA's slot, where
    /// it is of a group that is looked at. Walks can begin after any of the `prefixes`. `None` when the pattern is not
    /// one-pass, looks around, or is too large.
    pub(crate) fn new(nfa: &NFA, slot_of: impl Fn(usize) -> Option<usize>, prefixes: &[Vec<u8>]) -> Option<Self> {
        let alphabet = Alphabet::of(nfa.byte_classes());
        let mut builder =
            Builder { nfa, slot_of, alphabet: &alphabet, known: vec![None; nfa.states().len()], states: Vec::new() };
        builder.number(nfa.start_anchored());
        let (mut rows, mut ends) = (vec![vec![DEAD; alphabet.bytes.len()]], vec![None]);
        while let Some(&state) = builder.states.get(rows.len() - 1) {
            let (row, end) = builder.row(state)?;
            rows.push(row);
            ends.push(end);
            if rows.len() > STATES {
                return None;
            }
        }
        let mut walk = Self::pack(&rows, ends, &alphabet);
        let start = walk.start();
        walk.entries.push(start);
        for prefix in prefixes {
            // A text that is not a prefix leads nowhere, and so does a message that starts with it. It may end within a text
            // without a choice, so it is walked byte by byte.
            let end = walk.walk::<false>(prefix, start).unwrap_or(Place { row: 0, ..start });
            walk.entries.push(end);
        }
        Some(walk)
    }

    fn start(&self) -> Place {
        Place { row: 1 << self.stride, at: 0, slots: [NO_SLOT; SLOTS] }
    }

    /// The state behind a text with which a message starts; `None` when there is no way over it.
    pub(crate) fn after(&self, text: &[u8]) -> Option<usize> {
        Some(self.walk::<false>(text, self.start())?.row)
    }

    /// The classes of bytes that its states tell apart.
    pub(crate) fn classes(&self) -> &[u8; 256] {
        &self.class
    }

    /// The state behind one more byte.
    pub(crate) fn step(&self, state: usize, byte: u8) -> Option<usize> {
        let edge = self.edges[state + usize::from(self.class[usize::from(byte)])];
        (edge != DEAD).then_some((edge >> ROW_SHIFT) as usize)
    }

    /// Joins classes that no state tells apart and marks loops. State 0 is the dead one, state 1 the start.
    fn pack(rows: &[Vec<Edge>], ends: Vec<Option<u16>>, alphabet: &Alphabet) -> Self {
        let column = |class: usize| rows.iter().map(move |row| row[class]);
        let mut firsts: Vec<usize> = Vec::new();
        let mut joined = vec![0; alphabet.bytes.len()];
        for (class, joined) in joined.iter_mut().enumerate() {
            let known = firsts.iter().position(|&first| column(first).eq(column(class)));
            *joined = known.unwrap_or(firsts.len()) as u8;
            if known.is_none() {
                firsts.push(class);
            }
        }
        let class = alphabet.class.map(|class| joined[usize::from(class)]);
        let stride = firsts.len().next_power_of_two().trailing_zeros() as usize;
        let looping = |(state, row): (usize, &Vec<Edge>)| Skip::looping(state, row, alphabet);
        let mut skips: Vec<Skip> = rows.iter().enumerate().map(looping).collect();
        let only: Vec<_> = (0..rows.len()).map(|state| only_way(&rows[state], ends[state], alphabet)).collect();
        for (state, skip) in skips.iter_mut().enumerate() {
            if let Some((text, end)) = literal(&only, state) {
                *skip = Skip::Literal(text.into(), end << stride);
            }
        }
        let mut edges = vec![DEAD; rows.len() << stride];
        for (state, row) in rows.iter().enumerate() {
            for (class, &first) in firsts.iter().enumerate().filter(|&(_, &first)| row[first] != DEAD) {
                let next = (row[first] >> ROW_SHIFT) as usize;
                let skips = if matches!(skips[next], Skip::None) { 0 } else { SKIPS };
                edges[(state << stride) + class] =
                    (next << stride << ROW_SHIFT) as Edge | skips | row[first] & SLOT_BITS;
            }
        }
        Self { class, stride, edges, ends, skips, entries: Vec::new() }
    }

    /// Whether the whole message matches, and then what the groups took. A message has fewer than 65,535 bytes.
    /// `prefix` is the number, from 1, of a prefix that it is known to start with, or 0.
    pub(crate) fn run(&self, message: &[u8], prefix: usize) -> Option<Slots> {
        let Place { row, at, mut slots } = self.walk::<true>(message, self.entries[prefix])?;
        set(&mut slots, Edge::from(self.ends[row >> self.stride]?), at);
        Some(slots)
    }

    /// The place at the end of the message; `None` when there is no way to it. `SKIP` for the quick way there.
    #[inline]
    fn walk<const SKIP: bool>(&self, message: &[u8], from: Place) -> Option<Place> {
        let Place { mut row, mut at, mut slots } = from;
        if SKIP {
            (row, at) = self.skip(message, row, at)?;
        }
        while let Some(&byte) = message.get(at) {
            let edge = self.edges[row + usize::from(self.class[usize::from(byte)])];
            if edge == DEAD {
                return None;
            }
            if edge & SLOT_BITS != 0 {
                set(&mut slots, edge & SLOT_BITS, at);
            }
            row = (edge >> ROW_SHIFT) as usize;
            at += 1;
            if SKIP && edge & SKIPS != 0 {
                (row, at) = self.skip(message, row, at)?;
            }
        }
        Some(Place { row, at, slots })
    }

    /// Row and position after the skip of a state; `None` when there is no way on.
    #[inline]
    fn skip(&self, message: &[u8], mut row: usize, mut at: usize) -> Option<(usize, usize)> {
        if let Skip::Literal(text, end) = &self.skips[row >> self.stride] {
            if !message[at..].starts_with(text) {
                return None;
            }
            (row, at) = (*end, at + text.len());
        }
        Some((row, at + self.skips[row >> self.stride].pass(&message[at..])))
    }
}

fn set(slots: &mut Slots, mut bits: Edge, at: usize) {
    while bits != 0 {
        slots[bits.trailing_zeros() as usize] = at as u16;
        bits &= bits - 1;
    }
}

/// The byte over which alone a way leads on from a state, and the state behind it. No group begins or ends there, and no
/// message.
fn only_way(row: &[Edge], end: Option<u16>, alphabet: &Alphabet) -> Option<(u8, usize)> {
    let mut ways = row.iter().zip(&alphabet.bytes).filter(|&(&edge, _)| edge != DEAD);
    let (Some((&edge, &(byte, 1))), None) = (ways.next(), ways.next()) else { return None };
    (end.is_none() && edge & SLOT_BITS == 0).then_some((byte, (edge >> ROW_SHIFT) as usize))
}

/// The text over which alone a way leads on from a state, and the state behind it; `None` where it is too short to be
/// worth a comparison.
fn literal(only: &[Option<(u8, usize)>], from: usize) -> Option<(Vec<u8>, usize)> {
    let (mut text, mut state) = (Vec::new(), from);
    while let Some((byte, next)) = only[state].filter(|_| text.len() < only.len()) {
        text.push(byte);
        state = next;
    }
    (text.len() >= LITERAL).then_some((text, state))
}

impl Skip {
    fn looping(state: usize, row: &[Edge], alphabet: &Alphabet) -> Self {
        let stays = |edge: Edge| edge == (state << ROW_SHIFT) as Edge && edge != DEAD;
        let leaving: usize =
            row.iter().zip(&alphabet.bytes).filter(|&(&edge, _)| !stays(edge)).map(|(_, &(_, size))| size).sum();
        if leaving > 256 - LOOP {
            return Self::None;
        }
        let loops = alphabet.class.map(|class| stays(row[usize::from(class)]));
        if leaving > 3 {
            return Self::Over(Box::new(loops));
        }
        Self::Until((0..=255).filter(|&byte| !loops[usize::from(byte)]).collect())
    }

    /// How many bytes of the text the loop takes.
    fn pass(&self, text: &[u8]) -> usize {
        let end = match self {
            Self::None | Self::Literal(..) => return 0,
            Self::Over(loops) => text.iter().position(|&byte| !loops[usize::from(byte)]),
            Self::Until(bytes) => match bytes[..] {
                [a] => memchr(a, text),
                [a, b] => memchr2(a, b, text),
                [a, b, c] => memchr3(a, b, c, text),
                _ => None,
            },
        };
        end.unwrap_or(text.len())
    }
}

struct Builder<'n, F> {
    nfa: &'n NFA,
    slot_of: F,
    alphabet: &'n Alphabet,
    /// Our number of an NFA's state, less one.
    known: Vec<Option<usize>>,
    states: Vec<StateID>,
}

impl<F: Fn(usize) -> Option<usize>> Builder<'_, F> {
    fn number(&mut self, state: StateID) -> usize {
        let known = &mut self.known[state.as_usize()];
        1 + *known.get_or_insert_with(|| {
            self.states.push(state);
            self.states.len() - 1
        })
    }

    /// The edges of one state for all classes, and its end; `None` when there are two ways on.
    fn row(&mut self, state: StateID) -> Option<(Vec<Edge>, Option<u16>)> {
        let (mut row, mut end) = (vec![DEAD; self.alphabet.bytes.len()], None);
        let mut seen = vec![state];
        let mut stack = vec![(state, 0)];
        while let Some((state, slots)) = stack.pop() {
            let mut follow = |next: StateID, slots: Edge| {
                let new = !seen.contains(&next);
                seen.push(next);
                stack.push((next, slots));
                new.then_some(())
            };
            match self.nfa.state(state) {
                State::ByteRange { trans } => self.add(&mut row, trans.start, trans.end, trans.next, slots)?,
                State::Sparse(sparse) => {
                    for trans in &sparse.transitions {
                        self.add(&mut row, trans.start, trans.end, trans.next, slots)?;
                    }
                }
                State::Dense(dense) => {
                    for &(byte, _) in &self.alphabet.bytes {
                        if let Some(next) = dense.matches_byte(byte) {
                            self.add(&mut row, byte, byte, next, slots)?;
                        }
                    }
                }
                State::Union { alternates } => {
                    for &next in alternates {
                        follow(next, slots)?;
                    }
                }
                State::BinaryUnion { alt1, alt2 } => {
                    follow(*alt1, slots)?;
                    follow(*alt2, slots)?;
                }
                State::Capture { next, slot, .. } => {
                    let bit = (self.slot_of)(slot.as_usize()).map_or(0, |slot| 1 << slot);
                    follow(*next, slots | bit)?;
                }
                State::Match { .. } => {
                    if end.replace(slots as u16).is_some() {
                        return None;
                    }
                }
                State::Fail => {}
                State::Look { .. } => return None,
            }
        }
        Some((row, end))
    }

    fn add(&mut self, row: &mut [Edge], first: u8, last: u8, next: StateID, slots: Edge) -> Option<()> {
        let edge = (self.number(next) << ROW_SHIFT) as Edge | slots;
        let class = |byte: u8| usize::from(self.alphabet.class[usize::from(byte)]);
        for known in &mut row[class(first)..=class(last)] {
            if *known != DEAD {
                return None;
            }
            *known = edge;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
