//! Calendar, zone changes, years that a timestamp does not write.

use super::*;
use crate::testing::Random;

/// Berlin's offsets in 2025 and 2026, as zoneinfo has them.
const BERLIN: [(i64, i64); 5] =
    [(i64::MIN, 3_600), (1_743_296_400, 7_200), (1_761_440_400, 3_600), (1_774_746_000, 7_200), (1_792_890_000, 3_600)];

fn at(year: Option<u16>, month: u8, day: u8, second: u32) -> Civil {
    Civil { year, month, day, second, zone: None }
}

fn utc() -> Zone {
    Zone::new(&[(0, 0)]).unwrap()
}

#[test]
fn days_are_those_of_the_calendar() {
    let mut day = days_from_civil(1969, 12, 31);
    assert_eq!(day, -1);
    for year in 1970..2500 {
        for month in 1..=12 {
            for of_month in 1..=days_of_month(year, month) {
                day += 1;
                assert_eq!(days_from_civil(year, month, of_month), day, "{year}-{month}-{of_month}");
                assert_eq!((year_of(day * DAY), year_of(day * DAY + DAY - 1)), (year, year));
            }
        }
    }
    // 2500-01-01, from `date -u -d 2500-01-01 +%s`.
    assert_eq!((day + 1) * DAY, 16_725_225_600);
}

#[test]
fn references_of_any_size_have_some_year() {
    for second in [i64::MIN, i64::MAX, 0, -1, 1 << 40] {
        at(None, 3, 4, 0).instant(&utc(), Reference::new(second));
    }
    assert_eq!((year_of(-1), year_of(0)), (1969, 1970));
}

#[test]
fn a_zone_change_reads_as_both_or_as_before_the_jump() {
    let zone = Zone::new(&BERLIN).unwrap();
    let read = |month, day, h: u32, m: u32| {
        let civil = at(Some(2026), month, day, h * 3_600 + m * 60);
        civil.instant(&zone, Reference::new(0)).map(|instant| (instant.earlier, instant.later))
    };
    assert_eq!(read(3, 29, 1, 59), Some((1_774_745_940, 0)));
    assert_eq!(read(3, 29, 3, 0), Some((1_774_746_000, 0)));
    // No clock showed it: 02:30 with the offset before the jump is 01:30 UTC.
    assert_eq!(read(3, 29, 2, 30), Some((1_774_747_800, 0)));
    assert_eq!(read(10, 25, 1, 59), Some((1_792_886_340, 0)));
    assert_eq!(read(10, 25, 2, 0), Some((1_792_886_400, 3_600)));
    assert_eq!(read(10, 25, 2, 59), Some((1_792_889_940, 3_600)));
    assert_eq!(read(10, 25, 3, 0), Some((1_792_893_600, 0)));
    let written = Civil { zone: Some(7_200), ..at(Some(2026), 10, 25, 9_000) };
    assert_eq!(written.instant(&zone, Reference::new(0)), Some(Instant { earlier: 1_792_888_200, later: 0 }));
}

/// A zone that changes every few hours or days by any amount, so that gaps and doubles lie next to each other.
fn dense_zone(random: &mut Random) -> Vec<(i64, i64)> {
    let mut start = 0;
    let mut row = |random: &mut Random| {
        start += 40_000 + random.below(400_000) as i64;
        (start, random.below(100_000) as i64 - 50_000)
    };
    (0..=random.below(6)).map(|_| row(random)).collect()
}

#[test]
fn readings_agree_with_a_search_through_all_rows() {
    let mut random = Random::new(2);
    let (mut gaps, mut doubles) = (0, 0);
    for _ in 0..300 {
        let rows = dense_zone(&mut random);
        let zone = Zone::new(&rows).unwrap();
        for _ in 0..400 {
            // Half of them at a change to the second, as some row reads it.
            let local = match random.below(2) {
                0 => random.below(2_600_000) as i64 - 100_000,
                _ => random.pick(&rows).0 + random.pick(&rows).1 - random.below(2) as i64,
            };
            let row_of = |utc: i64| rows.iter().rposition(|row| row.0 <= utc).unwrap_or(0);
            let readings: Vec<i64> =
                (0..rows.len()).filter(|&i| row_of(local - rows[i].1) == i).map(|i| local - rows[i].1).collect();
            let want = match readings[..] {
                [] => {
                    gaps += 1;
                    let ended = (0..rows.len() - 1)
                        .find(|&i| local - rows[i].1 >= rows[i + 1].0 && local - rows[i + 1].1 < rows[i + 1].0);
                    Instant { earlier: local - rows[ended.unwrap()].1, later: 0 }
                }
                [only] => Instant { earlier: only, later: 0 },
                [first, second, ..] => {
                    doubles += 1;
                    Instant { earlier: first, later: (second - first) as u32 }
                }
            };
            assert_eq!(zone.read(local), want, "{local} in {rows:?}");
        }
    }
    assert!(gaps > 1_500 && doubles > 1_500, "{gaps} {doubles}");
}

#[test]
fn tables_that_are_none_are_refused() {
    for rows in [&[][..], &[(0, 0), (0, 1)], &[(1, 0), (0, 1)], &[(0, 1 << 31)]] {
        assert_eq!(Zone::new(rows).err(), Some(Error::Zone));
    }
}

#[test]
fn a_stamp_without_year_takes_the_latest_that_is_not_ahead() {
    // 2026-01-01 00:30 UTC.
    let reference = Reference::new(1_767_227_400);
    let year = |month, day, second| {
        let instant = at(None, month, day, second).instant(&utc(), reference)?;
        Some(year_of(instant.earlier))
    };
    assert_eq!(year(12, 31, 86_399), Some(2025));
    assert_eq!(year(1, 1, 1_800), Some(2026));
    // 26 hours ahead to the second.
    assert_eq!(year(1, 2, 2 * 3_600 + 1_800), Some(2026));
    assert_eq!(year(1, 2, 2 * 3_600 + 1_801), Some(2025));
    assert_eq!(year(2, 29, 0), Some(2024));
    assert_eq!(year(2, 30, 0), None);
    // 2025-12-31 23:30 UTC: a sender whose year has begun.
    let eve = Reference::new(1_767_223_800);
    assert_eq!(at(None, 1, 1, 60).instant(&utc(), eve).map(|instant| year_of(instant.earlier)), Some(2026));
}

#[test]
fn the_leap_day_is_looked_for_eight_years_back_and_never_before_1970() {
    let leap = |reference| at(None, 2, 29, 0).instant(&utc(), Reference::new(reference));
    // 2104-01-01: 2100 had none.
    assert_eq!(leap(4_228_761_600).map(|instant| year_of(instant.earlier)), Some(2096));
    assert_eq!(leap(0), None);
    assert_eq!(at(None, 12, 31, 0).instant(&utc(), Reference::new(0)), None);
    let written = |year, month, day| at(Some(year), month, day, 0).instant(&utc(), Reference::new(0));
    assert!(written(1969, 12, 31).is_none() && written(2023, 2, 29).is_none() && written(2026, 4, 31).is_none());
    assert_eq!(written(1970, 1, 1), Some(Instant { earlier: 0, later: 0 }));
    assert_eq!(written(2000, 2, 29), Some(Instant { earlier: 951_782_400, later: 0 }));
}

#[test]
fn a_leap_second_is_the_next_midnight() {
    let second = at(Some(2016), 12, 31, 86_400).instant(&utc(), Reference::new(0));
    assert_eq!(second, at(Some(2017), 1, 1, 0).instant(&utc(), Reference::new(0)));
}

#[test]
fn a_day_that_is_remembered_says_what_the_long_way_says() {
    let mut random = Random::new(6);
    let (mut plain, mut special) = (0, 0);
    for round in 0..2_000 {
        // Every other zone is a real one, in its own years; the dense ones begin in 1970.
        let dense = round % 2 == 1;
        let (rows, year, begin) =
            if dense { (dense_zone(&mut random), 1970, 0) } else { (BERLIN.to_vec(), 2025, 1_743_000_000) };
        let zone = Zone::new(&rows).unwrap();
        for _ in 0..50 {
            let reference = Reference::new(begin + random.below(60_000_000) as i64);
            let civil = Civil {
                year: (random.below(2) == 0).then(|| year + random.below(2) as u16),
                month: 1 + random.below(if dense { 2 } else { 12 }) as u8,
                day: 1 + random.below(31) as u8,
                second: random.below(86_401) as u32,
                zone: *random.pick(&[None, None, None, Some(0), Some(-3_600)]),
            };
            let Some(day) = Day::of(civil, &zone, reference) else {
                special += 1;
                continue;
            };
            plain += 1;
            for _ in 0..20 {
                let other = Civil { second: random.below(86_401) as u32, ..civil };
                assert_eq!(day.instant(other), other.instant(&zone, reference), "{other:?} in {rows:?}");
            }
            assert_eq!(day.instant(Civil { zone: Some(7), ..civil }), None);
        }
    }
    assert!(plain > 60_000 && special > 5_000, "{plain} {special}");
}
