//! The core's stages, each alone: a scan of lines of other programs and of logins, the fold of what it found, one
//! timestamp.
//!
//! The formats are two of the catalogue's in small, so that figures compare over time; the whole catalogue on a whole
//! log is what `make bench` measures. `make bench-core` runs this.
#![allow(missing_docs)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pbs_core::{Catalogue, FormatSpec, Layout, Stream};

/// 2026-11-21 00:00:00 UTC; timestamps without year are judged from a day after it.
const START: i64 = 1_795_219_200;
const REFERENCE: i64 = START + 86_400;
const LINES: usize = 10_000;

fn specs() -> Vec<FormatSpec> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    vec![
        FormatSpec {
            name: "dovecot".to_owned(),
            program: texts(&["dovecot"]),
            success: texts(&["-login: Login: "]),
            login: texts(&[
                r"(?:imap|pop3)-login: Login: user=<(?P<user>[^>]*)>, method=[A-Z0-9-]+, rip=(?P<ip>[0-9a-f.:]+), lip=(?P<lip>[0-9a-f.:]+), (?P<tls>TLS), session=<(?P<session>[^>]*)>",
            ]),
            ..FormatSpec::default()
        },
        FormatSpec {
            name: "courier".to_owned(),
            program: texts(&["imapd", "pop3d"]),
            tls_program: texts(&["imapd-ssl", "pop3d-ssl"]),
            success: texts(&["LOGIN, user="]),
            login: texts(&[
                r"LOGIN, user=(?P<user>[^ ,]*), ip=\[(?P<ip>[^\]]+)\], port=\[[0-9]+\](?:, protocol=IMAP)?",
            ]),
            ..FormatSpec::default()
        },
    ]
}

/// A log in which every `every`-th line is a login, each fourth of those of an address seen before; 0 for none.
fn log(every: usize) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..LINES {
        let second = line / 10;
        let (minute, second) = (second / 60, second % 60);
        let timestamp = format!("Nov 21 00:{minute:02}:{second:02} mx1");
        let client = line - line % 4;
        let (a, b) = (client / 256 % 256, client % 256);
        let written = if every == 0 || line % every != 0 {
            writeln!(text, "{timestamp} postfix/smtpd[2112]: connect from mail{b}.example.org[198.51.{a}.{b}]")
        } else if line % 3 == 0 {
            writeln!(
                text,
                "{timestamp} imapd-ssl: LOGIN, user=u{b}@example.net, ip=[::ffff:203.0.{a}.{b}], port=[40311], protocol=IMAP"
            )
        } else {
            writeln!(
                text,
                "{timestamp} dovecot: imap-login: Login: user=<u{b}@example.com>, method=PLAIN, rip=203.0.{a}.{b}, lip=192.0.2.1, TLS, session=<b7VpYI8KqNTLAHEp>"
            )
        };
        written.expect("a String takes all");
    }
    text.into_bytes()
}

fn stages(criterion: &mut Criterion) {
    let catalogue = Arc::new(Catalogue::new(&specs(), &[(0, 0)]).expect("the patterns are fit"));
    for (name, every) in [("none", 0), ("8 %", 13), ("all", 1)] {
        let data = log(every);
        let logins = if every == 0 { 0 } else { LINES.div_ceil(every) };
        let scan = catalogue.scan(&data, Layout::Syslog, REFERENCE);
        let mut stream = Stream::new(catalogue.clone(), 1800, false, true);
        stream.add(&scan, &data, 0);
        let found = stream.counters().find(|(name, _)| name == "login").map_or(0, |(_, n)| n);
        assert_eq!(found, logins as u64, "a figure for something else than logins");

        let mut group = criterion.benchmark_group("scan");
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(format!("logins: {name}"), |bencher| {
            bencher.iter(|| catalogue.scan(black_box(&data), Layout::Syslog, REFERENCE));
        });
        group.finish();
        if logins == 0 {
            continue;
        }
        let mut group = criterion.benchmark_group("fold");
        group.throughput(Throughput::Elements(logins as u64));
        group.bench_function(format!("logins: {name}"), |bencher| {
            bencher.iter_batched_ref(
                || Stream::new(catalogue.clone(), 1800, false, true),
                |stream| {
                    stream.add(&scan, &data, 0);
                    stream.take()
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("timestamp");
    for line in [
        "Nov 21 08:00:15 mx1 dovecot: x",
        "2026-11-21T09:00:45.020011+01:00 mx2 dovecot[733]: x",
        "<22>1 2026-11-21T08:00:15Z mx imapd 7 - - x",
    ] {
        assert!(catalogue.timestamp(line.as_bytes(), Layout::Syslog, REFERENCE).is_some());
        group.bench_function(line.split(' ').next().unwrap_or(line), |bencher| {
            bencher.iter(|| catalogue.timestamp(black_box(line.as_bytes()), Layout::Syslog, REFERENCE));
        });
    }
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
