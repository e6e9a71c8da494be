//! Which lines whole-line patterns are asked about, and what comes of them (docs/MATCHING.md, 4).

use std::sync::Arc;

use crate::address::Address;
use crate::catalogue::{Catalogue, Layout};
use crate::error::Error;
use crate::record::What;
use crate::spec::FormatSpec;
use crate::stream::Stream;

/// 2026-03-04 08:00:00 UTC.
const REFERENCE: i64 = 1_772_611_200;
const ISO: &str = r"(?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)";

fn specs() -> Vec<FormatSpec> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let tagged = FormatSpec {
        name: "a-tagged".to_owned(),
        program: texts(&["d"]),
        success: texts(&["hello"]),
        login: texts(&["in (?P<ip>[^ ]+)"]),
        own_probe: Some("note".to_owned()),
        cut: 60,
        ..FormatSpec::default()
    };
    let first = FormatSpec {
        name: "first".to_owned(),
        line_login: vec![
            format!(r"{ISO} (?i:granted) (?P<user>\w+?) (?P<ip>[0-9a-f.:]+)(?P<tls> s)?$"),
            r"^(?:time=(?P<timestamp>[^,]*), )?from=(?P<ip>[^,]*)(?:, host=(?P<host>[^,]*))?(?:, pid=(?P<pid>[^,]*))?(?:, lip=(?P<lip>[^,]*))?".to_owned(),
        ],
        line_logout: vec![format!(r"{ISO} gone (?P<session>\w*)\b")],
        ..FormatSpec::default()
    };
    let second = FormatSpec {
        name: "second".to_owned(),
        line_login: vec![format!(r"{ISO} (?:granted|joins) .*?(?P<ip>\d+\.\d+\.\d+\.\d+) ?(?P<session>\w*)")],
        ..FormatSpec::default()
    };
    vec![tagged, first, second]
}

/// `KIND ADDRESS SECONDS FORMAT HOST USER SESSION TLS [loop]` of each event, with the process where there is a row.
fn told(lines: &[&str], layout: Layout) -> Vec<String> {
    let catalogue = Arc::new(Catalogue::new(&specs(), &[(0, 0)]).unwrap());
    let mut stream = Stream::new(catalogue.clone(), 0, false, false);
    let mut rows = Stream::new(catalogue.clone(), 0, false, false);
    let mut told = Vec::new();
    for line in lines {
        let scan = catalogue.scan(line.as_bytes(), layout, REFERENCE);
        rows.add(&scan, line.as_bytes(), 0);
        let row = rows.take();
        let process = String::from_utf8_lossy(row.process(0)).into_owned();
        for event in stream.events(&scan, line.as_bytes()) {
            let text = |text: Option<&[u8]>| String::from_utf8_lossy(text.unwrap_or(b"-")).into_owned();
            let kind = match event.what {
                What::Login => "login",
                What::Logout => "logout",
                What::Ending(ending) => ending.name(),
                What::Missed(reason) => reason.name(),
            };
            told.push(format!(
                "{kind} {} {} {} {} {} {} {}{}{process}",
                event.address.map_or("-".to_owned(), Address::text),
                event.timestamp.map_or("-".to_owned(), |timestamp| (timestamp - REFERENCE).to_string()),
                catalogue.format_name(event.format),
                text(Some(event.host)),
                text(event.user.as_deref()),
                text(event.session.as_deref()),
                event.tls.map_or("?", |tls| if tls { "tls" } else { "plain" }),
                if event.looped { " loop" } else { "" },
            ));
        }
    }
    told
}

fn line(text: &str) -> Vec<String> {
    told(&[text], Layout::Syslog)
}

#[test]
fn the_first_pattern_that_matches_anywhere_in_the_line_decides() {
    let at = "2026-03-04T07:59:00Z";
    assert_eq!(line(&format!("{at} GRANTED lena 192.0.2.1")), ["login 192.0.2.1 -60 first  lena - plain"]);
    assert_eq!(line(&format!("x|{at} granted lena ::1 s")), ["login ::1 -60 first  lena - tls"]);
    // The match of a later pattern begins earlier; the order of patterns decides.
    assert_eq!(
        line(&format!("{at} joins 192.0.2.9 {at} granted lena 192.0.2.1")),
        ["login 192.0.2.1 -60 first  lena - plain"]
    );
    assert_eq!(line(&format!("{at} granted lena 192.0.2.1 q7")), ["login 192.0.2.1 -60 second  - q7 ?"]);
    for none in ["", "x", &format!("{at} Joins 192.0.2.1"), &format!("{at} mx postfix: x"), "from"] {
        assert_eq!(line(none), [""; 0], "{none}");
    }
}

#[test]
fn groups_stand_for_the_envelope() {
    assert_eq!(
        line("time=Mar  4 07:59:00, from=::1, host=mx, pid=77, lip=::1"),
        ["login ::1 -60 first mx - - ? loop[77]"]
    );
    assert_eq!(line("time=2026-03-04 07:59:00,5, from=::1"), [""; 0]);
    assert_eq!(line("time=2026-03-04 07:59:00.5, from=::1, pid="), ["login ::1 -60 first  - - ?"]);
}

#[test]
fn what_cannot_be_read_is_missed() {
    for (timestamp, ip, want) in [
        ("time=Mar  4 07:59:00 , ", "::1", "bad-stamp"),
        ("time= Mar  4 07:59:00, ", "::1", "bad-stamp"),
        ("time=Mar  4 07:59, ", "::1", "bad-stamp"),
        ("time=Feb 30 07:59:00, ", "::1", "bad-stamp"),
        ("", "::1", "bad-stamp"),
        ("", "::g", "bad-address"),
        ("time=, ", "", "bad-address"),
    ] {
        assert_eq!(line(&format!("{timestamp}from={ip}")), [format!("{want} - - first  - - ?")], "{timestamp} {ip}");
    }
}

#[test]
fn a_logout_takes_the_address_of_another_formats_session_never_and_of_its_own_once() {
    let at = "2026-03-04T07:59:00Z";
    let (login, gone) = (format!("{at} joins ::1 192.0.2.7 q7"), format!("{at} gone q7"));
    assert_eq!(
        told(&[&login, &gone], Layout::Syslog),
        ["login 192.0.2.7 -60 second  - q7 ?", "logout - -60 first  - q7 ?"]
    );
    let mut own = specs();
    own[1].line_login.push(format!(r"{ISO} opens (?P<ip>\S+) (?P<session>\w+)"));
    let catalogue = Arc::new(Catalogue::new(&own, &[(0, 0)]).unwrap());
    let mut stream = Stream::new(catalogue.clone(), 0, false, true);
    let data = format!("{at} opens ::9 q7\n{at} gone q7\n{at} gone q7\n");
    let scan = catalogue.scan(data.as_bytes(), Layout::Syslog, REFERENCE);
    let found: Vec<bool> = stream.events(&scan, data.as_bytes()).iter().map(|event| event.address.is_some()).collect();
    assert_eq!(found, [true, true, false]);
}

#[test]
fn lines_that_the_tag_decided_are_not_asked_about() {
    let with = |message: &str| line(&format!("2026-03-04T07:59:00Z granted d: {message}"));
    // The host is named `granted`, so the second format's pattern would match.
    assert_eq!(with("in ::1 192.0.2.1"), ["login 192.0.2.1 -60 second  - - ?"]);
    assert_eq!(with("in ::1"), ["login ::1 -60 a-tagged granted - - ?d"]);
    assert_eq!(with("in 192.0.2.256"), ["bad-address - - a-tagged granted - - ?"]);
    assert_eq!(with("hello 192.0.2.1"), ["no-pattern - - a-tagged granted - - ?"]);
    assert_eq!(line("2026-03-04T07:59:00Z granted other: hello 192.0.2.1"), ["login 192.0.2.1 -60 second  - - ?"]);
}

#[test]
fn a_cut_record_and_its_continuation_make_no_event_here_either() {
    let with = |message: &str| format!("2026-03-04T07:59:00Z granted d: {message}\n");
    let (long, hello) = ("x".repeat(50), "y".repeat(60));
    let lines = [
        with(&format!("192.0.2.1 {long}")),
        with("192.0.2.2"),
        with("192.0.2.3"),
        with(&format!("hello {hello}")),
        with("hello"),
    ];
    let want = ["cut-record - - second  - - ?", "continuation - - second  - - ?", "login 192.0.2.3 -60 second  - - ?"];
    let one_by_one: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(told(&one_by_one, Layout::Syslog), want);
    let whole = lines.concat();
    let kinds = |told: &[String]| told.iter().map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(kinds(&told(&[&whole], Layout::Syslog)), kinds(&want.map(str::to_owned)));
}

#[test]
fn they_are_asked_in_every_layout_and_conclude_a_sniff() {
    let catalogue = Catalogue::new(&specs(), &[(0, 0)]).unwrap();
    let at = "2026-03-04T07:59:00Z";
    assert_eq!(
        told(&[&format!("{at} in ::1"), &format!("{at} granted u ::2"), "from=::3"], Layout::Own(0)),
        ["login ::1 -60 a-tagged  - - ?", "login ::2 -60 first  u - plain", "bad-stamp - - first  - - ?"]
    );
    assert_eq!(catalogue.sniff(b"x\nfrom=none\n"), Some("syslog"));
    assert_eq!(catalogue.sniff(b"x\n2026-03-04T07:59:00Z note granted 192.0.2.1\n"), Some("a-tagged"));
    assert_eq!(catalogue.sniff(b"x\nform=none\n"), None);
}

#[test]
fn a_pattern_that_cannot_be_used_says_why() {
    for (pattern, want) in
        [("(?P<ip>x", "unclosed group at byte 0"), ("(?P<ip>x)", "no group 'timestamp'"), (r"(?=x)", "look-around")]
    {
        let mut specs = specs();
        specs[1].line_login.push(pattern.to_owned());
        let error = Catalogue::new(&specs, &[(0, 0)]).unwrap_err();
        assert!(matches!(&error, Error::Pattern { number: 3, .. }));
        let text = error.to_string();
        assert!(text.starts_with("format first: line_login pattern 3: ") && text.contains(want), "{text}");
    }
}
