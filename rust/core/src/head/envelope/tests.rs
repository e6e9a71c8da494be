//! Every envelope of docs/MATCHING.md, 2, and what is none.

use super::*;

/// Host, tag, message of a line; the tag is empty where there is none.
fn parts(line: &[u8]) -> Option<(&str, &str, &str)> {
    let envelope = syslog(line)?;
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or("(bytes)");
    let tag = envelope.tag.map_or(&line[..0], |tag| tag.of(line));
    Some((text(envelope.host.of(line)), text(tag), text(&line[envelope.message..envelope.end])))
}

#[test]
fn every_syslog_envelope_gives_host_tag_and_message() {
    for (line, want) in [
        // RFC 3164 in its habits.
        ("Mar  4 07:12:09 mx dovecot: Login: x", ("mx", "dovecot", "Login: x")),
        ("Mar 14 07:12:09 mx dovecot[81]: Login: x", ("mx", "dovecot", "Login: x")),
        ("Mar 4 07:12:09 mx dovecot: x", ("mx", "dovecot", "x")),
        ("Mar 04 07:12:09 mx dovecot: x", ("mx", "dovecot", "x")),
        ("Mar  4 2026 07:12:09 mx dovecot: x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09.123456 mx dovecot: x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09,5 mx dovecot: x", ("mx", "dovecot", "x")),
        ("<22>Mar  4 07:12:09 mx dovecot: x", ("mx", "dovecot", "x")),
        ("<0>Mar  4 07:12:09 mx dovecot: x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09   mx   dovecot: x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09 mx dovecot:", ("mx", "dovecot", "")),
        ("Mar  4 07:12:09 mx dovecot:  x", ("mx", "dovecot", " x")),
        // BusyBox, FreeBSD, Solaris.
        ("Mar  4 07:12:09 mx mail.info dovecot[1]: x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09 <mail.info> mx dovecot[1]: x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09 <local0.notice> dovecot[1]: x", ("", "dovecot", "x")),
        ("Mar  4 07:12:09 mx dovecot[1]: [ID 197553 mail.info] x", ("mx", "dovecot", "x")),
        ("Mar  4 07:12:09 mx d: [ID 1 mail.info] [ID 1 mail.info] x", ("mx", "d", "[ID 1 mail.info] x")),
        ("Mar  4 07:12:09 mx d: [ID mail.info] x", ("mx", "d", "[ID mail.info] x")),
        ("Mar  4 07:12:09 mx d: [ID 1 mail.info]x", ("mx", "d", "[ID 1 mail.info]x")),
        // Forwarded by AIX, Solaris or HP-UX: the host is that of the writer.
        ("Mar  4 07:12:09 hub Message forwarded from mx: d[1]: x", ("mx", "d", "x")),
        ("Mar  4 07:12:09 hub mail.info Message forwarded from 2001:db8::5: d: x", ("2001:db8::5", "d", "x")),
        ("Mar  4 07:12:09 hub Message forwarded from a:: d: x", ("a:", "d", "x")),
        ("2026-03-04T07:12:09Z <mail.info> hub Message forwarded from mx: d: [ID 1 a.b] x", ("mx", "d", "x")),
        // Repeated, and told so by rsyslog.
        ("Mar  4 07:12:09 mx d[1]: message repeated 2 times: [ x]", ("mx", "d", "x")),
        ("Mar  4 07:12:09 mx d[1]: message repeated 12 times: [x [y]]", ("mx", "d", "x [y]")),
        ("Mar  4 07:12:09 mx d: message repeated 2 times: [  x]", ("mx", "d", " x")),
        ("Mar  4 07:12:09 mx d: message repeated 2 times: []", ("mx", "d", "")),
        ("Mar  4 07:12:09 mx d: message repeated 2 times: [ ]", ("mx", "d", "")),
        ("Mar  4 07:12:09 mx d: message repeated 2 times: [ x", ("mx", "d", "message repeated 2 times: [ x")),
        ("Mar  4 07:12:09 mx d: message repeated 2 times: [", ("mx", "d", "message repeated 2 times: [")),
        ("Mar  4 07:12:09 mx d: message repeated  times: [ x]", ("mx", "d", "message repeated  times: [ x]")),
        ("Mar  4 07:12:09 mx d: [ID 1 a.b] message repeated 2 times: [ x]", ("mx", "d", "x")),
        (
            "Mar  4 07:12:09 mx d: message repeated 2 times: [ message repeated 3 times: [ x]]",
            ("mx", "d", "message repeated 3 times: [ x]"),
        ),
        ("Mar  4 07:12:09 d: message repeated 2 times: [ x]", ("", "d", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx d - - - message repeated 2 times: [ x]", ("mx", "d", "x")),
        // Without host: BusyBox -S, socklog, metalog.
        ("Mar  4 07:12:09 dovecot[1]: x", ("", "dovecot", "x")),
        ("Mar  4 07:12:09 dovecot:", ("", "dovecot", "")),
        ("Mar  4 07:12:09 [dovecot] x", ("", "dovecot", "x")),
        ("Mar  4 07:12:09 [dovecot]", ("", "dovecot", "")),
        ("Mar  4 07:12:09 [dovecot]: x", ("", "dovecot", "x")),
        ("Mar  4 07:12:09 [dovecot]:", ("", "dovecot", "")),
        // ISO in its habits, and the journal's short-iso.
        ("2026-03-04T07:12:09.123456+01:00 mx dovecot[1]: x", ("mx", "dovecot", "x")),
        ("2026-03-04T07:12:09Z mx dovecot: x", ("mx", "dovecot", "x")),
        ("2026-03-04T07:12:09+0100 mx dovecot[1]: x", ("mx", "dovecot", "x")),
        ("2026-03-04T07:12:09 mx dovecot: x", ("mx", "dovecot", "x")),
        ("2026-03-04 07:12:09 mx mail.info dovecot: x", ("mx", "dovecot", "x")),
        ("<22>2026-03-04T07:12:09Z mx dovecot: x", ("mx", "dovecot", "x")),
        // RFC 5424.
        ("<22>1 2026-03-04T07:12:09.123456+01:00 mx dovecot 81 - - x", ("mx", "dovecot", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot 81 - -  x", ("mx", "dovecot", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot 81 - -   x", ("mx", "dovecot", " x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot - - - \u{feff}x", ("mx", "dovecot", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot - - - \u{feff} x", ("mx", "dovecot", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot - ID1 [meta sequenceId=\"5\"] x", ("mx", "dovecot", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx d - - [a b=\"\\]\\\"\\\\\"][c [] x", ("mx", "d", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot - - -", ("mx", "dovecot", "")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot - - [a]", ("mx", "dovecot", "")),
        ("<22>1 2026-03-04T07:12:09Z - - - - - x", ("-", "", "x")),
        ("<22>1 - mx dovecot - - - x", ("mx", "dovecot", "x")),
        ("<22>1 2026-03-04T07:12:09Z mx dovecot: - - - x", ("mx", "dovecot:", "x")),
        // Hosts of all kinds.
        ("Mar  4 07:12:09 (none) d: x", ("(none)", "d", "x")),
        ("Mar  4 07:12:09 12345 d: x", ("12345", "d", "x")),
        ("Mar  4 07:12:09 2001:db8::5 d: x", ("2001:db8::5", "d", "x")),
        ("Mar  4 07:12:09 <x> d: x", ("<x>", "d", "x")),
        ("Mar  4 07:12:09 mx\tx d: x", ("mx\tx", "d", "x")),
        // Tags of all kinds.
        ("Mar  4 07:12:09 mx slot1/imap[7]: x", ("mx", "slot1/imap", "x")),
        ("Mar  4 07:12:09 mx perdition.imap4s[7]: x", ("mx", "perdition.imap4s", "x")),
        ("Mar  4 07:12:09 mx b\u{fc}cher: x", ("mx", "b\u{fc}cher", "x")),
    ] {
        assert_eq!(parts(line.as_bytes()), Some(want), "{line}");
    }
}

#[test]
fn what_has_no_envelope_has_none() {
    for line in [
        "",
        " ",
        "x",
        "Mar",
        "Mar  4 07:12:09",
        "Mar  4 07:12:09 ",
        "Mar  4 07:12:09 mx",
        "Mar  4 07:12:09 mx ",
        "mar  4 07:12:09 mx d: x",
        "Mar   4 07:12:09 mx d: x",
        "Mar 4  07:12:09 mx d: x",
        "Mar 444 07:12:09 mx d: x",
        " Mar  4 07:12:09 mx d: x",
        "Mar  4 7:12:09 mx d: x",
        "Mar  4 07:12 mx d: x",
        "Mar  4 07:12:09. mx d: x",
        "Mar  4 07:12:09.1234567890 mx d: x",
        "Mar  4 07:12:09Z mx d: x",
        "Mar  4 226 07:12:09 mx d: x",
        "Mar  4 07:12:09mx d: x",
        "2026-3-04T07:12:09 mx d: x",
        "2026-03-04t07:12:09 mx d: x",
        "2026-03-04T07:12:09z mx d: x",
        "2026-03-04T07:12:09+1 mx d: x",
        "2026-03-04T07:12:09+01: mx d: x",
        "2026-03-04T07:12:09+01:0 mx d: x",
        "2026-03-04  07:12:09 mx d: x",
        "<>Mar  4 07:12:09 mx d: x",
        "<1234>Mar  4 07:12:09 mx d: x",
        "<2x>Mar  4 07:12:09 mx d: x",
        "<22> Mar  4 07:12:09 mx d: x",
        // No tag.
        "Mar  4 07:12:09 mx last message repeated 2 times",
        "Mar  4 07:12:09 mx d:x",
        "Mar  4 07:12:09 mx d[1]:x",
        "Mar  4 07:12:09 mx d[]: x",
        "Mar  4 07:12:09 mx d[1x]: x",
        "Mar  4 07:12:09 mx d[1] : x",
        "Mar  4 07:12:09 mx d[1]x: x",
        "Mar  4 07:12:09 mx : x",
        "Mar  4 07:12:09 mx [d] x",
        "Mar  4 07:12:09 mx <d>: x",
        "Mar  4 07:12:09 mx d d: x",
        "Mar  4 07:12:09 mx mail.info  d: x",
        "Mar  4 07:12:09 mx Mail.info d: x",
        "Mar  4 07:12:09 mx <mail.info> d: x",
        "Mar  4 07:12:09 mx d\x01: x",
        "Mar  4 07:12:09 Message forwarded from mx: d: x",
        "Mar  4 07:12:09 hub Message forwarded from : d: x",
        "Mar  4 07:12:09 hub Message forwarded from mx d: x",
        "Mar  4 07:12:09 hub Message forwarded from mx:d: x",
        "Mar  4 07:12:09 hub Message forwarded from mx:  d: x",
        "Mar  4 07:12:09 hub Message forwarded from mx: mail.info d: x",
        "Mar  4 07:12:09 hub Message forwarded from a: Message forwarded from b: d: x",
        "Mar  4 07:12:09 [d]x",
        "Mar  4 07:12:09 [d e] x",
        // A facility and a tag are never read as a host.
        "Mar  4 07:12:09 <mail.info>  d: x",
        "Mar  4 07:12:09 Foo::Bar: d: x",
        "Mar  4 07:12:09 2001:db8:: d: x",
        // RFC 5424.
        "<22>2 2026-03-04T07:12:09Z mx d - - - x",
        "<22>1 2026-03-04 07:12:09Z mx d - - - x",
        "<22>1  2026-03-04T07:12:09Z mx d - - - x",
        "<22>1 2026-03-04T07:12:09Z  mx d - - - x",
        "<22>1 2026-03-04T07:12:09Z mx  d - - - x",
        "<22>1 2026-03-04T07:12:09Z mx d - -",
        "<22>1 2026-03-04T07:12:09Z mx d - - ",
        "<22>1 2026-03-04T07:12:09Z mx d - - x",
        "<22>1 2026-03-04T07:12:09Z mx d - - -x",
        "<22>1 2026-03-04T07:12:09Z mx d - - [a",
        "<22>1 2026-03-04T07:12:09Z mx d - - [a b=\"]\"] x",
        "<22>1 2026-03-04T07:12:09Z mx d - - [a b=\"] x",
        "<22>1 2026-03-04T07:12:09Z mx d - - [a b=\"\\\"] x",
        "<22>1 2026-03-04T07:12:09Z mx d - - [a]x",
        "<22>1 -mx d - - - x",
        "1 2026-03-04T07:12:09Z mx d - - - x",
        "<22>1 Mar  4 07:12:09 mx d - - - x",
    ] {
        assert_eq!(parts(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn an_own_layout_has_a_stamp_and_a_message() {
    let prefixes: Vec<Box<[u8]>> = ["dovecot: ", "d"].iter().map(|text| text.as_bytes().into()).collect();
    for (line, want) in [
        ("Mar  4 07:12:09 imap-login: x", Some("imap-login: x")),
        ("dovecot: Mar  4 07:12:09 imap-login: x", Some("imap-login: x")),
        ("dMar  4 07:12:09 x", Some("x")),
        ("2026-03-04 07:12:09   x  y", Some("x  y")),
        ("2026-03-04 07:12:09 ", Some("")),
        ("2026-03-04 07:12:09", None),
        ("dovecot: imap-login: x", None),
        ("<22>Mar  4 07:12:09 x", None),
        ("xdovecot: Mar  4 07:12:09 x", None),
        ("dovecot: dovecot: Mar  4 07:12:09 x", None),
    ] {
        let found = own(line.as_bytes(), &prefixes);
        assert_eq!(found.map(|envelope| &line[envelope.message..]), want, "{line}");
        assert!(found.is_none_or(|envelope| envelope.tag.is_none() && envelope.host == Span::default()));
    }
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut random = crate::testing::Random::new(1);
    let mut found = 0;
    let parts: [&[u8]; 24] = [
        b"Mar  4 07:12:09",
        b"2026-03-04T07:12:09",
        b".123",
        b"+01:00",
        b"Z",
        b" ",
        b" ",
        b"<22>",
        b"1 ",
        b"mx",
        b":",
        b"[",
        b"]",
        b"<mail.info>",
        b"7",
        b"-",
        b"\"",
        b"\\",
        b"\xff",
        b"\x00",
        b"[ID 7 mail.info]",
        b"\xef\xbb\xbf",
        b"Message forwarded from ",
        b"message repeated 2 times: [",
    ];
    for _ in 0..300_000 {
        let mut line = parts[random.below(2)].to_vec();
        for _ in 0..random.below(14) {
            line.extend_from_slice(parts[random.below(parts.len())]);
        }
        if random.below(2) == 0 {
            line.extend_from_slice(b" mx d[1]: [ID ");
        }
        let envelope = syslog(&line);
        found += usize::from(envelope.is_some());
        own(&line, &[b"mx"[..].into()]);
        if let Some(envelope) = envelope {
            assert!(envelope.message <= envelope.end && envelope.end <= line.len());
        }
        if let Some(timestamp) = envelope.and_then(|envelope| envelope.timestamp) {
            timestamp.read(&line);
        }
    }
    assert!(found > 3_000, "only {found} envelopes");
}

#[test]
fn a_pid_is_all_digits() {
    for (line, want) in [
        ("Mar  4 07:12:09 mx d[81]: x", "81"),
        ("Mar  4 07:12:09 d[0]: x", "0"),
        ("Mar  4 07:12:09 mx d: x", ""),
        ("Mar  4 07:12:09 [d] x", ""),
        ("Mar  4 07:12:09 hub Message forwarded from mx: d[7]: x", "7"),
        ("<22>1 2026-03-04T07:12:09Z mx d 81 - - x", "81"),
        ("<22>1 2026-03-04T07:12:09Z mx d - - - x", ""),
        ("<22>1 2026-03-04T07:12:09Z mx d 8x - - x", ""),
        ("<22>1 2026-03-04T07:12:09Z mx d[81] - - - x", ""),
    ] {
        assert_eq!(syslog(line.as_bytes()).unwrap().pid.of(line.as_bytes()), want.as_bytes(), "{line}");
    }
}
