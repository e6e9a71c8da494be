//! What one line comes to: tags, order of patterns, groups, refusals (docs/MATCHING.md, 3 and 4).

use crate::address::Address;
use crate::catalogue::{Catalogue, Layout};
use crate::error::Error;
use crate::record::What;
use crate::spec::FormatSpec;
use crate::stream::{Event, Stream};
use crate::testing::catalogue;

/// 2026-03-04 08:00:00 UTC.
const REFERENCE: i64 = 1_772_611_200;

/// What the events of some lines say, in order.
fn told(lines: &[u8], layout: Layout) -> Vec<String> {
    let catalogue = catalogue(&[(0, 0)]);
    let scan = catalogue.scan(lines, layout, REFERENCE);
    let mut stream = Stream::new(catalogue.clone(), 1_800, false, true);
    let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let told = |event: Event<'_>| {
        let what = match event.what {
            What::Login => "login",
            What::Logout => "logout",
            What::Ending(ending) => ending.name(),
            What::Missed(reason) => reason.name(),
        };
        let address = event.address.map_or("-".to_owned(), Address::text);
        let timestamp = event.timestamp.map_or("-".to_owned(), |timestamp| (timestamp - REFERENCE).to_string());
        let tls = event.tls.map_or("?", |tls| if tls { "tls" } else { "plain" });
        let format = catalogue.format_name(event.format);
        let (host, user, session) =
            (text(Some(event.host)), text(event.user.as_deref()), text(event.session.as_deref()));
        let looped = if event.looped { " loop" } else { "" };
        format!("{what} {address} {timestamp} {format} {host} {user} {session} {tls}{looped}")
    };
    stream.events(&scan, lines).into_iter().map(told).collect()
}

/// What one syslog message under a tag comes to.
fn message(tag: &str, message: &str) -> String {
    let told = told(format!("Mar  4 07:59:00 mx {tag}: {message}\n").as_bytes(), Layout::Syslog);
    assert!(told.len() < 2);
    told.into_iter().next().unwrap_or_default()
}

#[test]
fn a_second_header_counts_under_its_servers_tag_alone() {
    let login = "login 192.0.2.1 -60 alpha mx lena - plain";
    for (inner, want) in [
        ("Mar 04 23:00:00 in: lena ip=192.0.2.1", login),
        ("2019-03-04T23:00:00.5+11:00  in: lena ip=192.0.2.1", login),
        ("Mar 04 23:00:00 store alpha[7]: in: lena ip=192.0.2.1", login),
        ("<22>1 2019-03-04T23:00:00Z store alpha 7 - - in: lena ip=192.0.2.1", login),
        ("Mar 04 23:00:00 store alpha: message repeated 2 times: [ in: lena ip=192.0.2.1]", login),
        ("Mar 04 23:00:00 store both: in: lena ip=192.0.2.1", ""),
        ("Mar 04 23:00:00 Mar 04 23:00:00 in: lena ip=192.0.2.1", ""),
        ("x Mar 04 23:00:00 in: lena ip=192.0.2.1", ""),
        ("Mar 04 23:00:00", ""),
        ("", ""),
    ] {
        let told = message("alpha[7]", inner);
        assert_eq!(
            if told.starts_with("missed") || told.starts_with("no-pattern") { "" } else { &*told },
            want,
            "{inner}"
        );
        assert!(!message("beta", inner).starts_with("login"), "{inner}");
    }
}

#[test]
fn tags_decide_which_formats_are_tried() {
    for (tag, want) in [
        ("alpha", "alpha"),
        ("alpha[7]", "alpha"),
        ("cyrus/alpha[7]", "alpha"),
        ("a/b/alpha", "alpha"),
        ("both", "alpha"),
        ("beta", "beta"),
    ] {
        let user = if want == "alpha" { "lena" } else { "-" };
        let tls = if want == "alpha" { "plain" } else { "?" };
        assert_eq!(
            message(tag, "in: lena ip=192.0.2.1"),
            format!("login 192.0.2.1 -60 {want} mx {user} - {tls}"),
            "{tag}"
        );
    }
    for tag in ["x/both", "x/beta", "alph", "alphaa", "Alpha", "alpha/x", "alpha/"] {
        assert_eq!(message(tag, "in: lena ip=192.0.2.1"), "", "{tag}");
    }
    assert_eq!(message("both", "hello 192.0.2.1 and more"), "login 192.0.2.1 -60 beta mx - - ?");
}

#[test]
fn a_tls_tag_or_group_means_tls() {
    assert_eq!(message("alphas", "in: lena ip=192.0.2.1"), "login 192.0.2.1 -60 alpha mx lena - tls");
    assert_eq!(message("x/alphas[1]", "out: ip=192.0.2.1"), "logout 192.0.2.1 -60 alpha mx - - tls");
    assert_eq!(message("alpha", "in: lena ip=192.0.2.1 tls"), "login 192.0.2.1 -60 alpha mx lena - tls");
    assert_eq!(message("alpha", "out: ip=192.0.2.1"), "logout 192.0.2.1 -60 alpha mx - - ?");
}

#[test]
fn groups_are_kept_as_the_line_has_them() {
    assert_eq!(message("alpha", "in:  ip=192.0.2.1 id="), "login 192.0.2.1 -60 alpha mx  - plain");
    assert_eq!(message("alpha", "in: a ip=::ffff:192.0.2.1 id=q/7"), "login 192.0.2.1 -60 alpha mx a q/7 plain");
    assert_eq!(
        message("alpha", "in: a ip=2001:DB8::1 lip=2001:db8:0::1"),
        "login 2001:db8::1 -60 alpha mx a - plain loop"
    );
    assert_eq!(
        message("alpha", "in: a ip=192.0.2.1 lip=::ffff:192.0.2.1"),
        "login 192.0.2.1 -60 alpha mx a - plain loop"
    );
    assert_eq!(message("alpha", "in: a ip=192.0.2.1 lip=192.0.2.2"), "login 192.0.2.1 -60 alpha mx a - plain");
    assert_eq!(message("alpha", "in: a ip=192.0.2.1 lip=none"), "login 192.0.2.1 -60 alpha mx a - plain");
    let line = b"Mar  4 07:59:00 m\xff alpha: in: l\xc3\xa9\xff ip=192.0.2.1\n";
    assert_eq!(told(line, Layout::Syslog), ["login 192.0.2.1 -60 alpha m\u{fffd} l\u{e9}\u{fffd} - plain"]);
}

#[test]
fn a_line_that_looks_like_a_login_and_is_none_is_missed() {
    assert_eq!(message("alpha", "in: a ip=192.0.2.1 x"), "no-pattern - - alpha mx - - ?");
    assert_eq!(message("alpha", "note in: a"), "no-pattern - - alpha mx - - ?");
    assert_eq!(message("both", "say hello "), "no-pattern - - beta mx - - ?");
    assert_eq!(message("both", "hello in: "), "no-pattern - - alpha mx - - ?");
    assert_eq!(message("alpha", "hello 192.0.2.1"), "");
    assert_eq!(message("postfix", "in: a ip=192.0.2.1"), "");
    assert_eq!(message("alpha", "in: a ip=192.0.2.01"), "bad-address - - alpha mx - - ?");
    assert_eq!(message("alpha", "out: ip=x"), "bad-address - - alpha mx - - ?");
    // A login whose address took no part.
    assert_eq!(message("alpha", "in: a"), "bad-address - - alpha mx - - ?");
    assert_eq!(message("alpha", "in: a at=192.0.2.1"), "login 192.0.2.1 -60 alpha mx a - plain".replace("plain", "?"));
}

#[test]
fn an_impossible_stamp_is_missed_after_an_impossible_address() {
    let line =
        |timestamp: &str, ip: &str| told(format!("{timestamp} mx alpha: in: a ip={ip}").as_bytes(), Layout::Syslog);
    assert_eq!(line("Feb 30 07:59:00", "192.0.2.1"), ["bad-stamp - - alpha mx - - ?"]);
    assert_eq!(line("1969-12-31T23:59:59Z", "192.0.2.1"), ["bad-stamp - - alpha mx - - ?"]);
    assert_eq!(line("2026-03-04T07:59:60Z", "192.0.2.1"), ["bad-stamp - - alpha mx - - ?"]);
    assert_eq!(line("2026-03-04T07:59:00+24:00", "192.0.2.1"), ["bad-stamp - - alpha mx - - ?"]);
    assert_eq!(line("2026-03-04T07:59:00.999+00:00", "192.0.2.1"), ["login 192.0.2.1 -60 alpha mx a - plain"]);
    assert_eq!(line("Feb 30 07:59:00", "x"), ["bad-address - - alpha mx - - ?"]);
    let unstamped = b"<22>1 - mx alpha - - - in: a ip=192.0.2.1";
    assert_eq!(told(unstamped, Layout::Syslog), ["bad-stamp - - alpha mx - - ?"]);
    assert_eq!(told(b"<22>1 - mx - - - - in: a ip=192.0.2.1", Layout::Syslog), [""; 0]);
}

/// A message of 60 bytes and more that `beta` takes, or not.
const LONG: &str = "hello 192.0.2.9 ..............................................";
const LONG_OTHER: &str = "noise ........................................................";

#[test]
fn a_cut_record_and_what_follows_it_make_no_event() {
    let line = |host: &str, tag: &str, message: &str| format!("Mar  4 07:59:00 {host} {tag}: {message}\n");
    let hello = "hello 192.0.2.1";
    let all = |lines: &[String]| -> Vec<String> {
        let told = told(lines.concat().as_bytes(), Layout::Syslog);
        told.iter().map(|told| told.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(all(&[line("mx", "beta", &LONG[..59]), line("mx", "beta", hello)]), ["login", "login"]);
    assert_eq!(all(&[line("mx", "beta", &LONG[..60]), line("mx", "beta", hello)]), ["cut-record", "continuation"]);
    assert_eq!(
        all(&[line("mx", "beta", LONG), line("mx", "beta", hello), line("mx", "beta", hello)]),
        ["cut-record", "continuation", "login"]
    );
    // Nothing is said of records that no pattern took, success text or not.
    assert_eq!(
        all(&[line("mx", "beta", LONG_OTHER), line("mx", "beta", "say hello "), line("mx", "beta", hello)]),
        ["login"]
    );
    // A continuation that is as long is cut itself.
    assert_eq!(
        all(&[line("mx", "beta", LONG_OTHER), line("mx", "beta", LONG), line("mx", "beta", hello)]),
        ["cut-record", "continuation"]
    );
    // Only the same host and tag, whatever the pid, and whatever is between them.
    assert_eq!(
        all(&[
            line("mx", "beta[1]", LONG),
            line("m2", "beta", hello),
            line("mx", "both", hello),
            line("mx", "beta[2]", hello)
        ]),
        ["cut-record", "login", "login", "continuation"]
    );
    // The least length of the tag's formats counts, and only theirs.
    assert_eq!(all(&[line("mx", "both", LONG_OTHER), line("mx", "both", "in: a ip=192.0.2.1")]), ["continuation"]);
    assert_eq!(all(&[line("mx", "alpha", LONG_OTHER), line("mx", "alpha", "in: a ip=192.0.2.1")]), ["login"]);
    // An invalid address or timestamp does not matter.
    assert_eq!(all(&[line("mx", "beta", LONG_OTHER), line("mx", "beta", "in: a ip=x")]), ["continuation"]);
    // A line that is too long is a cut record of the writer that its beginning names.
    let too_long = line("mx", "beta", &"x".repeat(crate::MAX_LINE));
    assert_eq!(
        all(&[too_long.clone(), line("mx", "beta", hello), line("mx", "beta", hello)]),
        ["continuation", "login"]
    );
    assert_eq!(all(&[too_long, line("m2", "beta", hello)]), ["login"]);
    // Whoever writes, 700 bytes may be a part of more.
    let long = |n: usize| line("mx", "alpha", &"x".repeat(n));
    let login = || line("mx", "alpha", "in: a ip=192.0.2.1");
    assert_eq!(all(&[long(699), login()]), ["login"]);
    assert_eq!(all(&[long(700), login(), login()]), ["continuation", "login"]);
    // The length is that of the message, without Solaris' id.
    let id = format!("[ID 1 mail.info] {}", &LONG[..59]);
    assert_eq!(all(&[line("mx", "beta", &id), line("mx", "beta", hello)]), ["login", "login"]);
}

#[test]
fn an_own_log_has_only_its_formats_patterns_and_no_tag() {
    let own = catalogue(&[(0, 0)]).layout("alpha").unwrap();
    let lines = b"Mar  4 07:59:00 in: a ip=192.0.2.1\nalpha: 2026-03-04 07:59:30 out: ip=192.0.2.1\n\
        Mar  4 07:59:00 mx alpha: in: a ip=192.0.2.1\nMar  4 07:59:00 hello 192.0.2.1\n";
    assert_eq!(
        told(lines, own),
        ["login 192.0.2.1 -60 alpha  a - plain", "logout 192.0.2.1 -30 alpha  - - ?", "no-pattern - - alpha  - - ?"]
    );
}

#[test]
fn layouts_are_those_of_formats_with_a_probe() {
    let catalogue = catalogue(&[(0, 0)]);
    assert_eq!(catalogue.layout("syslog"), Some(Layout::Syslog));
    assert_eq!(catalogue.layout("alpha"), Some(Layout::Own(0)));
    assert_eq!((catalogue.layout("beta"), catalogue.layout("x"), catalogue.layout("")), (None, None, None));
}

#[test]
fn the_first_conclusive_line_decides_the_layout() {
    let catalogue = catalogue(&[(0, 0)]);
    let sniff = |data: &str| catalogue.sniff(data.as_bytes()).map(str::to_owned);
    assert_eq!(sniff("").or(sniff("\n\nx\nMar  4 07:59:00 nothing here\n")), None);
    assert_eq!(sniff("x\nMar  4 07:59:00 mx postfix: x\nMar  4 07:59:00 in: a").as_deref(), Some("syslog"));
    assert_eq!(sniff("x\nMar  4 07:59:00 in: a\nMar  4 07:59:00 mx postfix: x").as_deref(), Some("alpha"));
    // As a host-less tag it would be syslog's.
    assert_eq!(sniff("Mar  4 07:59:00 note: x").as_deref(), Some("alpha"));
    assert_eq!(sniff("alpha: Mar  4 07:59:00 out: x").as_deref(), Some("alpha"));
    assert_eq!(sniff("Mar  4 07:59:00 hello x"), None);
    assert_eq!(sniff("<22>1 - mx - - - -").as_deref(), Some("syslog"));
    assert_eq!(sniff("Feb 31 99:99:99 mx d: x").as_deref(), Some("syslog"));
    let long = format!("Mar  4 07:59:00 mx d: {}\n", "x".repeat(crate::MAX_LINE));
    assert_eq!(sniff(&long), None);
}

#[test]
fn one_line_has_a_stamp_whatever_its_tag() {
    let catalogue = catalogue(&[(0, 3_600)]);
    let timestamp = |line: &str, layout| {
        catalogue.timestamp(line.as_bytes(), layout, REFERENCE).map(|timestamp| timestamp - REFERENCE)
    };
    assert_eq!(timestamp("Mar  4 09:00:01 mx postfix: x", Layout::Syslog), Some(1));
    assert_eq!(timestamp("2026-03-04T08:00:01Z mx postfix: x", Layout::Syslog), Some(1));
    assert_eq!(timestamp("Mar  4 09:00:01 x", Layout::Own(0)), Some(1));
    assert_eq!(timestamp("<22>1 2026-03-04T08:00:01Z mx - - - -", Layout::Syslog), Some(1));
    for line in ["Mar  4 09:00:01 x", "Feb 30 09:00:01 mx x: x", "<22>1 - mx x - - -", ""] {
        assert_eq!(timestamp(line, Layout::Syslog), None, "{line}");
    }
    let long = format!("Mar  4 09:00:01 mx d: {}", "x".repeat(crate::MAX_LINE));
    assert_eq!(timestamp(&long, Layout::Syslog), None);
}

#[test]
fn catalogues_that_are_none_are_refused_in_one_line() {
    let spec =
        |name: &str, login: &str| FormatSpec { name: name.into(), login: vec![login.into()], ..FormatSpec::default() };
    let refused = |specs: &[FormatSpec]| Catalogue::new(specs, &[(0, 0)]).err().map(|error| error.to_string());
    assert_eq!(
        refused(&[spec("a", "(")]).as_deref(),
        Some("format a: login pattern 1: unclosed group at byte 0; see 'Patterns' in docs/FORMAT-FILES.md")
    );
    assert!(refused(&[spec("a", "x"), spec("a", "x")]).is_some_and(|line| line.contains("format a")));
    assert!(refused(&[spec("syslog", "x")]).is_some());
    assert_eq!(Catalogue::new(&[], &[]).err(), Some(Error::Zone));
}
