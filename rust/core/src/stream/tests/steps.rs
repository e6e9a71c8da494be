//! Sessions over several lines (docs/MATCHING.md, 6), and rows that are not folded.

use super::*;

/// 2026-03-04 08:00:00 UTC.
const NOON: i64 = 1_772_611_200;

/// A line of format `steps` so many seconds after `NOON`.
fn line(second: i64, who: &str, message: &str) -> String {
    let (minute, second) = ((second + 3_600) / 60, (second + 3_600).rem_euclid(60));
    format!("2026-03-04T{:02}:{:02}:{second:02}Z {who}: {message}\n", 7 + minute / 60, minute % 60)
}

/// What each line with an event says: `login ADDRESS USER SESSION TLS [loop]`, or the reason it was missed.
fn told(lines: &[String]) -> Vec<String> {
    let catalogue = catalogue(&[(0, 0)]);
    let mut stream = Stream::new(catalogue.clone(), 0, false, true);
    let mut told = Vec::new();
    for line in lines {
        let scan = catalogue.scan(line.as_bytes(), Layout::Syslog, NOON);
        for event in stream.events(&scan, line.as_bytes()) {
            let told_of = tell(&event, 0);
            let text = |text: Option<String>| text.unwrap_or("-".to_owned());
            told.push(match event.what {
                What::Missed(reason) => reason.name().to_owned(),
                what => format!(
                    "{} {} {} {} {}{}",
                    if what == What::Login { "login" } else { "logout" },
                    text(told_of.address),
                    text(told_of.user),
                    text(told_of.session),
                    told_of.tls.map_or("?", |tls| if tls { "tls" } else { "plain" }),
                    if told_of.looped { " loop" } else { "" },
                ),
            });
        }
    }
    told
}

fn of_one(messages: &[(i64, &str)]) -> Vec<String> {
    told(&messages.iter().map(|&(second, message)| line(second, "mx steps[7]", message)).collect::<Vec<_>>())
}

#[test]
fn a_login_is_at_its_success_and_has_the_address_of_its_first_line() {
    let events =
        of_one(&[(0, "from 192.0.2.1"), (1, "ok lena id=a"), (1, "ok lena id=b"), (2, "end other"), (3, "end")]);
    assert_eq!(events, ["login 192.0.2.1 lena a plain", "logout 192.0.2.1 lena a plain"]);
    // What the address line says of both ends, and TLS by either line.
    assert_eq!(of_one(&[(0, "from ::1 to ::1 tls"), (0, "ok u")]), ["login ::1 u - tls loop"]);
    assert_eq!(of_one(&[(0, "from ::1 to ::2"), (0, "ok u by tls"), (0, "end")])[1], "logout ::1 u - tls");
    assert_eq!(of_one(&[(0, "from ::1 to ::2 tls"), (0, "ok u by")]), ["login ::1 u - plain"]);
}

#[test]
fn a_success_without_its_address_line_is_missed() {
    assert_eq!(of_one(&[(0, "ok lena")]), ["no-session"]);
    assert_eq!(of_one(&[(0, "from 192.0.2.1"), (0, "bad lena"), (0, "ok lena")]), ["no-session"]);
    assert_eq!(of_one(&[(0, "from 192.0.2.1"), (0, "end"), (0, "ok lena")]), ["no-session"]);
    // An address line with an invalid address ends what was known of the process.
    assert_eq!(of_one(&[(0, "from 192.0.2.1"), (0, "from 192.0.2.01"), (0, "ok lena")]), ["no-session"]);
    let bad = "2026-02-30T08:00:00Z mx steps[7]: from 192.0.2.2\n".to_owned();
    let (from, ok) = (line(0, "mx steps[7]", "from 192.0.2.1"), line(0, "mx steps[7]", "ok u"));
    assert_eq!(told(&[from.clone(), bad, ok.clone()]), ["no-session"]);
    // Another process, host, tag, or none at all.
    for who in ["mx steps[8]", "my steps[7]", "mx stepss[7]", "mx steps"] {
        assert_eq!(told(&[line(0, who, "from 192.0.2.1"), ok.clone()]), ["no-session"], "{who}");
    }
    assert_eq!(
        told(&[line(0, "mx steps", "from ::1"), line(0, "mx steps", "ok u"), line(0, "mx steps", "end")]),
        ["no-session"]
    );
    // A process id that is used again.
    assert_eq!(
        of_one(&[(0, "from ::1"), (1, "ok a"), (2, "from ::2"), (3, "end"), (4, "from ::3"), (5, "ok b")]),
        ["login ::1 a - plain", "login ::3 b - plain"]
    );
}

#[test]
fn a_success_is_near_its_address_line() {
    for (second, want) in
        [(600, "login ::1 u - plain"), (601, "no-session"), (-300, "login ::1 u - plain"), (-301, "no-session")]
    {
        assert_eq!(of_one(&[(0, "from ::1"), (second, "ok u")]), [want], "{second}");
    }
    // One that is too late changes nothing.
    assert_eq!(of_one(&[(0, "from ::1"), (601, "ok u"), (600, "ok u")])[1], "login ::1 u - plain");
}

#[test]
fn an_unreadable_stamp_makes_a_success_and_an_end_missed() {
    let bad = |message: &str| format!("2026-02-30T08:00:00Z mx steps[7]: {message}\n");
    let good = |message: &str| line(0, "mx steps[7]", message);
    assert_eq!(told(&[bad("ok u")]), ["bad-stamp"]);
    assert_eq!(told(&[good("from ::1"), bad("ok u"), good("ok u")]), ["bad-stamp", "login ::1 u - plain"]);
    assert_eq!(told(&[good("from ::1"), bad("end"), good("ok u")]), ["no-session"]);
    assert_eq!(told(&[good("from ::1"), good("ok u"), bad("end"), good("end")])[1..], ["bad-stamp"]);
    assert_eq!(told(&[good("from ::1"), bad("bad x"), good("ok u")]), ["no-session"]);
}

#[test]
fn a_cut_record_and_its_continuation_are_no_steps() {
    let long = "x".repeat(60);
    let cut = format!("bad {long}");
    assert_eq!(
        of_one(&[(0, "from ::1"), (0, &cut), (0, "ok u"), (0, "ok u")]),
        ["continuation", "login ::1 u - plain"]
    );
    assert_eq!(of_one(&[(0, &cut), (0, "from ::1"), (0, "ok u")]), ["no-session"]);
    assert_eq!(
        of_one(&[(0, "from ::1"), (0, "ok u"), (0, &cut), (0, "end"), (0, "end")])[1..],
        ["logout ::1 u - plain"]
    );
    let ok = format!("ok {long}");
    assert_eq!(of_one(&[(0, "from ::1"), (0, &ok), (0, "ok u")]), ["cut-record", "continuation"]);
}

#[test]
fn a_login_of_several_lines_is_remembered_by_its_session_id_too() {
    let events = of_one(&[(0, "from ::1"), (0, "ok u id=q"), (0, "out: id=q"), (0, "out: id=q")]);
    assert_eq!(events[1..], ["logout ::1 - q ?", "logout - - q ?"]);
}

#[test]
fn rows_that_are_not_folded_tell_the_process_and_hold_logouts_of_unknown_sessions() {
    let catalogue = catalogue(&[(0, 0)]);
    let data = [
        line(0, "mx steps[7]", "from ::1"),
        line(0, "mx steps[7]", "ok u"),
        line(0, "mx steps[7]", "end"),
        line(0, "mx a/alpha", "in: u ip=::2"),
        line(0, "mx alpha", "out: id=q"),
        line(0, "mx alpha[3]", "out: id="),
        line(0, "mx alpha", "out: id="),
        "<22>1 2026-03-04T08:00:00Z mx steps 9 - - out: id=\n".to_owned(),
    ]
    .concat();
    let rows = |folds| {
        let mut stream = Stream::new(catalogue.clone(), 0, false, folds);
        stream.add(&catalogue.scan(data.as_bytes(), Layout::Syslog, NOON), data.as_bytes(), 0);
        let counters: BTreeMap<String, u64> = stream.counters().collect();
        assert_eq!((counters["logout"], counters["logout_no_address"]), (5, if folds { 0 } else { 4 }));
        let rows = stream.take();
        let row = |(number, row): (usize, &crate::Row)| {
            (row.address.map(Address::text).unwrap_or_default(), row.what == What::Login, owned(rows.process(number)))
        };
        rows.rows.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    let row = |address: &str, login, process: &str| (address.to_owned(), login, process.to_owned());
    assert_eq!(rows(true), [row("::1", true, ""), row("::2", true, "")]);
    assert_eq!(
        rows(false),
        [
            row("::1", true, "steps[7]"),
            row("::1", false, "steps[7]"),
            row("::2", true, "a/alpha"),
            row("", false, "alpha"),
            row("", false, "alpha[3]"),
            row("", false, "steps[9]"),
        ]
    );
}

#[test]
fn an_ending_is_a_row_where_nothing_is_folded_and_no_event() {
    let catalogue = catalogue(&[(0, 0)]);
    let cut = format!("up {}", "x".repeat(60));
    let told = ["up", "died 77", "died ", "error of u", &cut, "up", "error of v"];
    let data: String = told.iter().map(|message| line(0, "mx steps[7]", message)).collect();
    let scan = catalogue.scan(data.as_bytes(), Layout::Syslog, NOON);
    let rows = |folds| {
        let mut stream = Stream::new(catalogue.clone(), 0, false, folds);
        stream.add(&scan, data.as_bytes(), 0);
        let counters: BTreeMap<String, u64> = stream.counters().collect();
        assert_eq!((counters["lines"], counters["other"]), (7, 7));
        let rows = stream.take();
        let row = |(number, row): (usize, &crate::Row)| {
            let What::Ending(ending) = row.what else { panic!("{:?}", row.what) };
            format!("{} {} {}", ending.name(), owned(rows.process(number)), owned(rows.users(row).1.unwrap_or(b"-")))
        };
        rows.rows.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(false),
        [
            "restart steps[7] -",
            "killed steps[77] -",
            "killed steps[7] -",
            "aborted steps[7] u",
            // The cut record and the one after it, its continuation, are none.
            "aborted steps[7] v",
        ]
    );
    assert!(rows(true).is_empty());
    assert!(Stream::new(catalogue.clone(), 0, false, false).events(&scan, data.as_bytes()).is_empty());
}
