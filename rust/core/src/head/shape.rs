//! A line's head as a mould for the heads of the lines after it: which bytes are digits, and what the others are.
//!
//! In a log most lines differ from the one before in some digits of the timestamp. A head that has digits where the
//! mould has digits and the same other bytes reads the same way, because the grammar of heads is unambiguous and minds
//! of a digit only that it is one; so `fits` is exact and costs a few operations for every 8 bytes.

use crate::head::envelope::Head;

/// Longest head that is learnt; RFC 3339 with nanoseconds, `PRI` and facility has 56 bytes and fewer.
const WORDS: usize = 8;

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Added to a byte below 128, sets its high bit when it is above 9.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;

/// The mould.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) head: Head,
    words: [Word; WORDS],
    used: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    text: u64,
    /// All bits of the bytes that must be equal.
    literal: u64,
    /// The high bit of the bytes that must be digits.
    digit: u64,
}

impl Shape {
    /// The mould of a line whose head is known; `None` for a head that is too long to keep.
    pub(crate) fn of(line: &[u8], head: Head) -> Option<Self> {
        let used = head.end.div_ceil(8);
        if used > WORDS {
            return None;
        }
        let mut shape = Self { head, words: [Word::default(); WORDS], used };
        // RFC 5424's version is not any digit but `1`, which stands before the first blank.
        let version = head.rfc5424.then(|| line.iter().position(|&byte| byte == b' ')).flatten().map(|blank| blank - 1);
        for (at, &byte) in line[..head.end].iter().enumerate() {
            let (word, shift) = (&mut shape.words[at / 8], at % 8 * 8);
            word.text |= u64::from(byte) << shift;
            if byte.is_ascii_digit() && version != Some(at) {
                word.digit |= 0x80 << shift;
            } else {
                word.literal |= 0xff << shift;
            }
        }
        Some(shape)
    }

    /// Whether the line's head is of this shape. May say no for a line shorter than the mould's whole words.
    #[inline]
    pub(crate) fn fits(&self, line: &[u8]) -> bool {
        let Some(bytes) = line.get(..self.used * 8) else { return false };
        let mut wrong = 0;
        for (word, bytes) in self.words.iter().zip(bytes.chunks_exact(8)) {
            let text = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            let value = text ^ ZEROS;
            let not_digit = ((value & LOW) + ABOVE_NINE) | value;
            wrong |= (text ^ word.text) & word.literal | not_digit & word.digit;
        }
        wrong == 0
    }
}

/// Bytes that a literal is compared by; host names are shorter, or they are looked at each time.
const LITERAL: usize = 24;

/// A short text that many lines have at the same place, compared without a call. The empty one is no text's start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Literal {
    words: [u64; LITERAL / 8],
    masks: [u64; LITERAL / 8],
    len: usize,
}

impl Literal {
    /// The text to compare with; the empty one when it is too long.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut literal = Self::default();
        if text.len() <= LITERAL {
            literal.len = text.len();
            for (at, &byte) in text.iter().enumerate() {
                literal.words[at / 8] |= u64::from(byte) << (at % 8 * 8);
                literal.masks[at / 8] |= 0xff << (at % 8 * 8);
            }
        }
        literal
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether a line's rest starts so. May say no for a rest shorter than `LITERAL`.
    #[inline]
    pub(crate) fn starts(&self, rest: &[u8]) -> bool {
        let Some(bytes) = rest.first_chunk::<LITERAL>() else { return false };
        let mut wrong = 0;
        for (bytes, (word, mask)) in bytes.chunks_exact(8).zip(self.words.iter().zip(&self.masks)) {
            wrong |= (u64::from_le_bytes(bytes.try_into().unwrap_or_default()) ^ word) & mask;
        }
        wrong == 0 && self.len > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::envelope::head;
    use crate::testing::Random;

    const HEADS: [&str; 10] = [
        "Mar  4 07:12:09 ",
        "Mar 14 07:12:09  ",
        "Mar 4 2026 07:12:09.123 ",
        "<22>Mar  4 07:12:09 <mail.info> ",
        "2026-03-04T07:12:09.123456+01:00 ",
        "2026-03-04 07:12:09,5 <local0.info> ",
        "2026-03-04T07:12:09Z ",
        "<22>1 2026-03-04T07:12:09.123456+0100 ",
        "<122>1 2026-03-04T07:12:09 ",
        "<1>1 - ",
    ];

    #[test]
    fn a_shape_fits_exactly_the_lines_whose_head_reads_the_same_way() {
        let mut random = Random::new(11);
        let rest = b"host-of-some-length-that-is-never-too-short tag: message";
        let (mut fit, mut unfit) = (0, 0);
        for _ in 0..300_000 {
            let learnt = random.pick(&HEADS).as_bytes();
            let line = [learnt, rest].concat();
            let shape = Shape::of(&line, head(&line).unwrap()).unwrap();
            let mut other = [if random.below(2) == 0 { learnt } else { random.pick(&HEADS).as_bytes() }, rest].concat();
            for _ in 0..random.below(4) {
                let at = random.below(learnt.len());
                other[at] = if random.below(4) > 0 && other[at].is_ascii_digit() {
                    b"0123456789"[random.below(10)]
                } else {
                    *random.pick(b"0159 :.T-+<>/;Mar\x00\xb0\xff")
                };
            }
            if shape.fits(&other) {
                fit += 1;
                // What follows the blanks is the reader's to look at, so a blank or `<` there is no part of this.
                if !matches!(other[shape.head.end], b' ' | b'<') {
                    assert_eq!(head(&other), Some(shape.head), "{}", other.escape_ascii());
                }
            } else {
                unfit += 1;
                assert_ne!(other, line);
            }
        }
        assert!(fit > 50_000 && unfit > 50_000, "{fit} {unfit}");
    }

    #[test]
    fn a_literal_is_a_start_exactly_when_slices_say_so() {
        let mut random = Random::new(12);
        let mut starts = 0;
        for _ in 0..100_000 {
            let mut text = || -> Vec<u8> { (0..random.below(40)).map(|_| *random.pick(b"ab")).collect() };
            let (rest, other) = (text(), text());
            let start = if random.below(2) == 0 { &rest[..random.below(rest.len() + 1)] } else { &other[..] };
            let literal = Literal::new(start);
            let can = !start.is_empty() && start.len() <= LITERAL && rest.len() >= LITERAL;
            assert_eq!(literal.starts(&rest), can && rest.starts_with(start));
            assert_eq!(literal.len(), if start.len() <= LITERAL { start.len() } else { 0 });
            starts += usize::from(literal.starts(&rest));
        }
        assert!(starts > 5_000, "only {starts}");
    }
}
