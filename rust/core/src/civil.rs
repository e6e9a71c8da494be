//! Calendar arithmetic and the zone table: local date and time to UTC seconds. Pure; knows no text.

use crate::error::Error;

/// Seconds of one day.
pub(crate) const DAY: i64 = 86_400;

/// How far after the reference a timestamp without year may lie: a day and two hours, for clocks and zones that are
/// off.
const YEAR_SLACK: i64 = 26 * 3_600;

/// A date and time as a line writes it; every field is in its range and the day exists in its month of some year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// `None` when the timestamp has no year.
    pub(crate) year: Option<u16>,
    pub(crate) month: u8,
    pub(crate) day: u8,
    /// Second of the day, 0 to 86,400 (`23:59:60`).
    pub(crate) second: u32,
    /// Offset from UTC in seconds, where the timestamp has a zone.
    pub(crate) zone: Option<i32>,
}

/// UTC seconds of a timestamp: the earlier reading, and how much later the other one is (0: there is none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) earlier: i64,
    pub(crate) later: u32,
}

/// Local time as a table: from each start on, local time is UTC + offset.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    rows: Vec<(i64, i64)>,
    least: i64,
    greatest: i64,
}

impl Zone {
    /// Compiles `(start, offset)` rows, seconds both; the first row also holds for all time before it.
    pub(crate) fn new(rows: &[(i64, i64)]) -> Result<Self, Error> {
        let plausible = rows.iter().all(|row| row.1.unsigned_abs() < 1 << 31);
        if rows.is_empty() || !plausible || rows.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::Zone);
        }
        let mut rows = rows.to_vec();
        rows[0].0 = i64::MIN;
        let offsets = rows.iter().map(|row| row.1);
        let (least, greatest) = (offsets.clone().min().unwrap_or(0), offsets.max().unwrap_or(0));
        Ok(Self { rows, least, greatest })
    }

    /// Whether local times that are read as seconds from `first` to `last` have one reading each: no row starts so
    /// near that a reading in it could be one of theirs.
    fn is_steady(&self, first: i64, last: i64) -> bool {
        let spread = self.greatest - self.least;
        let row_at = |utc: i64| self.rows.partition_point(|row| row.0 <= utc);
        row_at(first - spread) == row_at(last + spread)
    }

    /// The readings of a local time, given as if it were UTC.
    pub(crate) fn read(&self, local: i64) -> Instant {
        let row_at = |utc: i64| self.rows.partition_point(|row| row.0 <= utc) - 1;
        let (low, high) = (row_at(local - self.greatest), row_at(local - self.least));
        let mut earlier = None;
        for i in low..=high {
            let utc = local - self.rows[i].1;
            let ends = self.rows.get(i + 1).map_or(i64::MAX, |row| row.0);
            if self.rows[i].0 <= utc && utc < ends {
                match earlier {
                    None => earlier = Some(utc),
                    Some(first) => {
                        return Instant { earlier: first, later: (utc - first) as u32 };
                    }
                }
            }
        }
        let earlier = earlier.unwrap_or_else(|| {
            // Nobody's clock showed this time: the row before the jump would have come to it next.
            let before = (low..high).find(|&i| local - self.rows[i + 1].1 < self.rows[i + 1].0);
            local - self.rows[before.unwrap_or(high)].1
        });
        Instant { earlier, later: 0 }
    }
}

/// What a timestamp without year is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    year: i64,
    latest: i64,
}

impl Reference {
    /// The judge for a reference in UTC seconds.
    pub(crate) fn new(second: i64) -> Self {
        Self { year: year_of(second), latest: second.saturating_add(YEAR_SLACK) }
    }
}

impl Civil {
    /// UTC seconds, or `None` when there is no such day or its year is before 1970.
    pub(crate) fn instant(self, zone: &Zone, reference: Reference) -> Option<Instant> {
        let Some(year) = self.year else {
            return (-1..=8)
                .map(|back| reference.year - back)
                .filter_map(|year| self.in_year(year, zone))
                .find(|instant| instant.earlier <= reference.latest);
        };
        self.in_year(i64::from(year), zone)
    }

    fn date(self) -> (Option<u16>, u8, u8, Option<i32>) {
        (self.year, self.month, self.day, self.zone)
    }

    fn in_year(self, year: i64, zone: &Zone) -> Option<Instant> {
        if year < 1970 || self.day > days_of_month(year, self.month) {
            return None;
        }
        let local = days_from_civil(year, self.month, self.day) * DAY + i64::from(self.second);
        Some(match self.zone {
            Some(offset) => Instant { earlier: local - i64::from(offset), later: 0 },
            None => zone.read(local),
        })
    }
}

/// A day whose every second reads the same way: no change of the zone and no other year in sight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    date: (Option<u16>, u8, u8, Option<i32>),
    midnight: i64,
}

impl Day {
    /// The day of a timestamp, when it is such a day.
    pub(crate) fn of(civil: Civil, zone: &Zone, reference: Reference) -> Option<Self> {
        let midnight = Civil { second: 0, ..civil }.instant(zone, reference)?;
        let next = Civil { second: DAY as u32, ..civil }.instant(zone, reference)?;
        let plain = midnight.later == 0 && next.later == 0 && next.earlier - midnight.earlier == DAY;
        let steady = civil.zone.is_some() || zone.is_steady(midnight.earlier, next.earlier);
        (plain && steady).then_some(Self { date: civil.date(), midnight: midnight.earlier })
    }

    /// The instant of another timestamp of the same day.
    pub(crate) fn instant(&self, civil: Civil) -> Option<Instant> {
        let same = civil.date() == self.date;
        same.then(|| Instant { earlier: self.midnight + i64::from(civil.second), later: 0 })
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u8::from(is_leap(year)),
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    // Years that begin in March put the leap day last, so month lengths follow one linear rule (153 days in 5 months).
    let shifted = if month > 2 { year } else { year - 1 };
    let month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    365 * shifted + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400) + day_of_year - 719_468
}

fn year_of(second: i64) -> i64 {
    let day = second.div_euclid(DAY);
    let mut year = 1970 + day.div_euclid(366).clamp(-100_000, 100_000);
    // The guess is low by at most one year in 1,500; a clamped one stays far from any log's years.
    while days_from_civil(year + 1, 1, 1) <= day && year < 200_000 {
        year += 1;
    }
    while days_from_civil(year, 1, 1) > day && year > -200_000 {
        year -= 1;
    }
    year
}

#[cfg(test)]
mod tests;
