//! What timestamps say, and which of them say nothing possible.

use super::*;

fn read(text: &str) -> Option<Civil> {
    let timestamp = Timestamp::find(text.as_bytes(), 0).unwrap_or_else(|| panic!("{text} is no timestamp"));
    assert_eq!(timestamp.end(), text.len(), "{text}");
    timestamp.read(text.as_bytes())
}

fn civil(year: Option<u16>, month: u8, day: u8, (h, m, s): (u32, u32, u32), zone: Option<i32>) -> Option<Civil> {
    Some(Civil { year, month, day, second: h * 3_600 + m * 60 + s, zone })
}

#[test]
fn fields_are_read_from_wherever_they_stand() {
    for (text, want) in [
        ("Mar  4 07:12:09", civil(None, 3, 4, (7, 12, 9), None)),
        ("Mar 4 07:12:09", civil(None, 3, 4, (7, 12, 9), None)),
        ("Mar 04 07:12:09.999999999", civil(None, 3, 4, (7, 12, 9), None)),
        ("Dec 31 2025 23:59:59", civil(Some(2025), 12, 31, (23, 59, 59), None)),
        ("Feb  1 0007 00:00:00", civil(Some(7), 2, 1, (0, 0, 0), None)),
        ("Jan 1 2026 00:00:00,1", civil(Some(2026), 1, 1, (0, 0, 0), None)),
        ("2026-03-04T07:12:09", civil(Some(2026), 3, 4, (7, 12, 9), None)),
        ("2026-03-04 07:12:09.123456", civil(Some(2026), 3, 4, (7, 12, 9), None)),
        ("2026-03-04T07:12:09Z", civil(Some(2026), 3, 4, (7, 12, 9), Some(0))),
        ("2026-03-04T07:12:09.5+05:30", civil(Some(2026), 3, 4, (7, 12, 9), Some(19_800))),
        ("2026-03-04T07:12:09-0330", civil(Some(2026), 3, 4, (7, 12, 9), Some(-12_600))),
        ("2026-03-04 07:12:09+23:59", civil(Some(2026), 3, 4, (7, 12, 9), Some(86_340))),
        ("2016-12-31T23:59:60Z", civil(Some(2016), 12, 31, (23, 59, 60), Some(0))),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn impossible_times_say_nothing() {
    for text in [
        "Mar  4 24:00:00",
        "Mar  4 07:60:09",
        "Mar  4 07:12:60",
        "Mar  4 23:59:61",
        "Mar  0 07:12:09",
        "Mar 32 07:12:09",
        "Mar 00 07:12:09",
        "Mar 99 99:99:99",
        "2026-00-04T07:12:09",
        "2026-13-04T07:12:09",
        "2026-03-00T07:12:09",
        "2026-03-04T07:12:09+24:00",
        "2026-03-04T07:12:09-01:60",
        "2026-03-04T07:12:09+9999",
        "2026-03-04T00:00:60Z",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}
