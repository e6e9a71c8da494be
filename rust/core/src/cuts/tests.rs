use super::*;
use crate::catalogue::Layout;
use crate::testing::catalogue;

fn rule() -> Rule {
    let repeats = ["a: ".to_owned(), "b: ".to_owned()];
    let spec = |cut, cut_rest, cut_prefix: &[String], cut_whole: &[usize]| FormatSpec {
        cut,
        cut_rest,
        cut_prefix: cut_prefix.to_vec(),
        cut_whole: cut_whole.to_vec(),
        ..FormatSpec::default()
    };
    let formats = [spec(60, 0, &repeats, &[70, 80, 600]), spec(0, 0, &repeats, &[]), spec(500, 0, &[], &[])];
    Rule::new(formats.iter())
}

fn told(cuts: &mut Cuts, host: &str, message: &str) -> (bool, bool) {
    told_at(cuts, host, message, Some(0))
}

fn told_at(cuts: &mut Cuts, host: &str, message: &str, second: Option<i64>) -> (bool, bool) {
    let line = format!("Mar  4 07:59:00 {host} beta: {message}");
    let catalogue = catalogue(&[(i64::MIN, 0)]);
    let envelope = catalogue.envelope(line.as_bytes(), Layout::Syslog).unwrap();
    let rule = rule();
    let written = Written::new(line.as_bytes(), &envelope, &rule, false);
    (cuts.take(&written, || second), written.is_cut)
}

#[test]
fn the_least_lengths_of_all_formats_count() {
    let rule = rule();
    assert_eq!((rule.any, rule.repeated, rule.least), (500, 60, 60));
    assert_eq!((rule.prefix(b"b: x"), rule.prefix(b"c: x")), (&b"b: "[..], &b""[..]));
    let plain = Rule::new([FormatSpec::default()].iter());
    assert_eq!((plain.any, plain.rest, plain.least), (SPLIT, SPLIT, SPLIT));
}

#[test]
fn a_rest_follows_only_from_its_own_length_on() {
    let of = |cut, cut_rest| FormatSpec { cut, cut_rest, ..FormatSpec::default() };
    let told = |formats: &[FormatSpec]| {
        let rule = Rule::new(formats.iter());
        (rule.any, rule.rest, rule.least)
    };
    assert_eq!(told(&[of(200, 500)]), (200, 500, 200));
    assert_eq!(told(&[of(200, 0)]), (200, 200, 200));
    assert_eq!(told(&[of(200, 100)]), (200, 200, 200));
    assert_eq!(told(&[of(200, 900)]), (200, SPLIT, 200));
    // Of several formats, the smallest of each.
    assert_eq!(told(&[of(200, 500), of(300, 0), of(0, 0)]), (200, 300, 200));
}

#[test]
fn a_record_that_repeats_something_opens_two_continuations() {
    let long = |prefix: &str, n: usize| format!("{prefix}{}", "x".repeat(n - prefix.len()));
    let mut cuts = Cuts::default();
    let mut take = |message: &str| told(&mut cuts, "mx", message);
    assert_eq!(take(&long("a: ", 59)), (false, false));
    assert_eq!(take(&long("c: ", 499)), (false, false));
    assert_eq!(take(&long("a: ", 60)), (false, true));
    // The next record whatever it is, and the next that repeats the same.
    assert_eq!(
        [take("b: x"), take("b: x"), take("c"), take("a: x"), take("a: x")].map(|(is, _)| is),
        [true, false, false, true, false]
    );
    assert_eq!(take(&long("c: ", 500)), (false, true));
    assert_eq!([take("a: x"), take("a: x")].map(|(is, _)| is), [true, false]);
    assert!(cuts.is_empty());
}

#[test]
fn a_whole_part_puts_its_writer_in_doubt_for_a_while() {
    let long = |n: usize| format!("a: {}", "x".repeat(n - 3));
    let mut cuts = Cuts::default();
    // What is as long as no whole part is ends with the record after it.
    for (length, lasts) in [(69, false), (70, true), (79, true), (80, false), (599, false), (600, true)] {
        let mut cuts = Cuts::default();
        assert_eq!(told(&mut cuts, "mx", &long(length)), (false, true));
        let next = [0; 2].map(|second| told_at(&mut cuts, "mx", "a: x", Some(second)).0);
        assert_eq!(next, [true, lasts], "{length}");
    }
    let mut take = |message: &str, second: Option<i64>| told_at(&mut cuts, "mx", message, second).0;
    take(&long(70), Some(100));
    // Other writers are ended by the next record, as they are without.
    assert_eq!([take("b: x", Some(100)), take("b: x", Some(100))], [true, false]);
    // The record after it may be late, and time goes on from there; an earlier or no timestamp ends nothing.
    let seconds = [Some(900), Some(900 + LASTS), None, Some(3), Some(901 + LASTS), Some(900)];
    assert_eq!(seconds.map(|second| take("a: x", second)), [true, true, true, true, false, false]);
    take(&long(70), None);
    assert_eq!([None, Some(7), Some(7 + LASTS), Some(8 + LASTS)].map(|s| take("a: x", s)), [true, true, true, false]);
    assert!(cuts.is_empty());
}

#[test]
fn only_so_many_parts_are_remembered() {
    let mut cuts = Cuts::default();
    let mut take = |host: String, is_cut: bool| {
        let written =
            Written { host: host.as_bytes(), tag: b"t", prefix: b"a: ", is_cut, leaves_rest: is_cut, is_whole: is_cut };
        let continues = cuts.take(&written, || Some(0));
        assert!(cuts.parts.len() as u64 <= 2 * REMEMBERED_PARTS);
        continues
    };
    for host in 0..=REMEMBERED_PARTS {
        take(format!("h{host}"), true);
    }
    assert_eq!(["h0", "h1", "h1"].map(|host| take(host.to_owned(), false)), [false, true, true]);
    for host in 0..3 * REMEMBERED_PARTS {
        take(format!("g{host}"), true);
    }
}

#[test]
fn only_so_many_are_remembered() {
    let long = "x".repeat(500);
    let mut cuts = Cuts::default();
    for host in 0..=REMEMBERED {
        assert_eq!(told(&mut cuts, &format!("h{host}"), &long), (false, true));
    }
    assert_eq!(["h0", "h1", "h1"].map(|host| told(&mut cuts, host, "x").0), [false, true, false]);
    for host in 0..5 * REMEMBERED {
        told(&mut cuts, &format!("g{host}"), &long);
        assert!(cuts.open.len() as u64 <= 4 * REMEMBERED);
    }
}
