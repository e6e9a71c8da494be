//! The two timestamp grammars, `BSD` and `ISO` (docs/MATCHING.md, 2): where a timestamp's fields lie, and what they
//! say.
//!
//! `Timestamp::find` checks the grammar and keeps positions only; numbers are read when a line turns out to need them.

use std::num::NonZeroU16;

use crate::civil::Civil;
use crate::span::Span;

const MONTHS: [[u8; 3]; 12] =
    [*b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec"];

/// Where a timestamp's fields lie in its line; 16 bits name any place in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    kind: Kind,
    start: u16,
    /// First digit of the hour.
    time: u16,
    /// First byte after the time and its fraction: where a zone begins.
    time_end: u16,
    /// First byte after the timestamp.
    end: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bsd {
        /// First digit.
        year: Option<NonZeroU16>,
    },
    /// With `T` between date and time.
    IsoT,
    /// With a blank there.
    IsoBlank,
}

impl Timestamp {
    /// The timestamp at `line[start..]`, if there is one.
    pub(crate) fn find(line: &[u8], start: usize) -> Option<Self> {
        match line.get(start)? {
            b'0'..=b'9' => Self::find_iso(line, start),
            _ => Self::find_bsd(line, start),
        }
    }

    fn new(kind: Kind, start: usize, time: usize, time_end: usize, end: usize) -> Self {
        let [start, time, time_end, end] = [start, time, time_end, end].map(|at| at as u16);
        Self { kind, start, time, time_end, end }
    }

    /// First byte after the timestamp.
    pub(crate) fn end(&self) -> usize {
        usize::from(self.end)
    }

    /// The timestamp that a piece of a line is, from its first byte to its last.
    pub(crate) fn whole(line: &[u8], span: Span) -> Option<Self> {
        Self::find(&line[..span.end()], span.start()).filter(|timestamp| timestamp.end() == span.end())
    }

    /// Whether date and time are joined by `T`, as RFC 5424 wants.
    pub(crate) fn has_t(&self) -> bool {
        self.kind == Kind::IsoT
    }

    fn find_bsd(line: &[u8], start: usize) -> Option<Self> {
        let month: [u8; 3] = line.get(start..start + 3)?.try_into().ok()?;
        if !MONTHS.contains(&month) || line.get(start + 3) != Some(&b' ') {
            return None;
        }
        let day = start + 4;
        // `[ 0-9]?[0-9]` has one reading: two bytes when the second is a digit, else one.
        let day_end = if digits(line, day + 1, 1) {
            if line[day] != b' ' && !line[day].is_ascii_digit() {
                return None;
            }
            day + 2
        } else if digits(line, day, 1) {
            day + 1
        } else {
            return None;
        };
        if line.get(day_end) != Some(&b' ') {
            return None;
        }
        let mut time = day_end + 1;
        let mut year = None;
        if digits(line, time, 4) && line.get(time + 4) == Some(&b' ') {
            year = NonZeroU16::new(time as u16);
            time += 5;
        }
        let end = time_end(line, time)?;
        Some(Self::new(Kind::Bsd { year }, start, time, end, end))
    }

    fn find_iso(line: &[u8], start: usize) -> Option<Self> {
        let shape = digits(line, start, 4)
            && line.get(start + 4) == Some(&b'-')
            && digits(line, start + 5, 2)
            && line.get(start + 7) == Some(&b'-')
            && digits(line, start + 8, 2);
        if !shape {
            return None;
        }
        let kind = match line.get(start + 10)? {
            b'T' => Kind::IsoT,
            b' ' => Kind::IsoBlank,
            _ => return None,
        };
        let time = start + 11;
        let time_end = time_end(line, time)?;
        Some(Self::new(kind, start, time, time_end, zone_end(line, time_end)))
    }

    /// What the timestamp of this line says; `None` when it is no date and time of any year.
    pub(crate) fn read(&self, line: &[u8]) -> Option<Civil> {
        let [start, time, time_end, end] = [self.start, self.time, self.time_end, self.end].map(usize::from);
        let two = |at: usize| (line[at] & 15) * 10 + (line[at + 1] & 15);
        let four = |at: usize| u16::from(two(at)) * 100 + u16::from(two(at + 2));
        let (year, month, day) = match self.kind {
            Kind::Bsd { year } => {
                let name: [u8; 3] = line[start..start + 3].try_into().ok()?;
                let month = 1 + MONTHS.iter().position(|&month| month == name)? as u8;
                let year = year.map(|year| usize::from(year.get()));
                let day_end = year.unwrap_or(time) - 1;
                let tens = if day_end == start + 6 { line[start + 4] & 15 } else { 0 };
                (year.map(four), month, tens * 10 + (line[day_end - 1] & 15))
            }
            Kind::IsoT | Kind::IsoBlank => (Some(four(start)), two(start + 5), two(start + 8)),
        };
        let (hour, minute, second) = (two(time), two(time + 3), two(time + 6));
        // A leap second is written once a day at most, and a `:60` anywhere else is a fault of the writer.
        let possible = hour < 24 && minute < 60 && (second < 60 || (hour, minute, second) == (23, 59, 60));
        if !possible || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let zone = match end - time_end {
            0 => None,
            1 => Some(0),
            len => {
                let (hours, minutes) = (two(time_end + 1), two(time_end + len - 2));
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let offset = i32::from(hours) * 3_600 + i32::from(minutes) * 60;
                Some(if line[time_end] == b'-' { -offset } else { offset })
            }
        };
        let second = u32::from(hour) * 3_600 + u32::from(minute) * 60 + u32::from(second);
        Some(Civil { year, month, day, second, zone })
    }
}

fn digits(line: &[u8], at: usize, n: usize) -> bool {
    line.get(at..at + n).is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit))
}

/// End of `TIME` at `at`. What follows decides whether a fraction of ten digits or a dot without digits fits.
fn time_end(line: &[u8], at: usize) -> Option<usize> {
    let shape = digits(line, at, 2)
        && line.get(at + 2) == Some(&b':')
        && digits(line, at + 3, 2)
        && line.get(at + 5) == Some(&b':')
        && digits(line, at + 6, 2);
    if !shape {
        return None;
    }
    let end = at + 8;
    if matches!(line.get(end), Some(b'.' | b',')) {
        let fraction = line[end + 1..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
        if fraction > 0 {
            return Some(end + 1 + fraction);
        }
    }
    Some(end)
}

fn zone_end(line: &[u8], at: usize) -> usize {
    match line.get(at) {
        Some(b'Z') => at + 1,
        Some(b'+' | b'-') if digits(line, at + 1, 2) => {
            let minutes = at + 3 + usize::from(line.get(at + 3) == Some(&b':'));
            if digits(line, minutes, 2) { minutes + 2 } else { at }
        }
        _ => at,
    }
}

#[cfg(test)]
mod tests;
