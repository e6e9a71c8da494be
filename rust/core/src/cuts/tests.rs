use super::*;
use crate::catalogue::Layout;
use crate::testing::catalogue;

fn rule() -> Rule {
    let repeats = ["a: ".to_owned(), "b: ".to_owned()];
    let formats: [(usize, &[String]); 3] = [(60, &repeats), (0, &repeats), (500, &[])];
    Rule::new(formats.into_iter())
}

fn told(cuts: &mut Cuts, host: &str, message: &str) -> (bool, bool) {
    let line = format!("Mar  4 07:59:00 {host} beta: {message}");
    let catalogue = catalogue(&[(i64::MIN, 0)]);
    let envelope = catalogue.envelope(line.as_bytes(), Layout::Syslog).unwrap();
    let rule = rule();
    let written = Written::new(line.as_bytes(), &envelope, &rule, false);
    (cuts.take(&written), written.is_cut)
}

#[test]
fn the_least_lengths_of_all_formats_count() {
    let rule = rule();
    assert_eq!((rule.any, rule.repeated, rule.least), (500, 60, 60));
    assert_eq!((rule.prefix(b"b: x"), rule.prefix(b"c: x")), (&b"b: "[..], &b""[..]));
    let plain = Rule::new([(0, &[][..])].into_iter());
    assert_eq!((plain.any, plain.least), (SPLIT, SPLIT));
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
