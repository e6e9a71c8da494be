//! Chunks may be cut anywhere, rows are those of an event-by-event model, counters add up (docs/MATCHING.md, 6, 7).

mod order;
mod rows;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::*;
use crate::catalogue::Layout;
use crate::testing::{Random, catalogue};
use crate::{MAX_AHEAD, MAX_USERS};

/// 2026-10-25 02:00 in Berlin, where that hour comes twice: the earlier reading is 00:00 UTC.
const TWICE: i64 = 1_792_886_400;
const BERLIN: [(i64, i64); 3] = [(0, 3_600), (1_774_746_000, 7_200), (1_792_890_000, 3_600)];
const REFERENCE: i64 = TWICE + 7_200;

/// An event with its texts owned.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    offset: u64,
    what: What,
    address: Option<String>,
    timestamp: Option<i64>,
    format: u16,
    host: String,
    user: Option<String>,
    session: Option<String>,
    tls: Option<bool>,
    looped: bool,
}

/// A row with its texts owned.
#[derive(Clone, Debug, PartialEq)]
struct Folded {
    address: String,
    login: bool,
    key: (u16, String, Option<bool>, bool),
    first: i64,
    last: i64,
    n: u64,
    offset: u64,
    session: Option<String>,
    users: (Option<String>, Option<String>, u32),
}

fn owned(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn tell(event: &Event<'_>, offset: u64) -> Told {
    Told {
        offset: offset + event.line as u64,
        what: event.what,
        address: event.address.map(Address::text),
        timestamp: event.timestamp,
        format: event.format,
        host: owned(event.host),
        user: event.user.as_deref().map(owned),
        session: event.session.as_deref().map(owned),
        tls: event.tls,
        looped: event.looped,
    }
}

fn rows(rows: &Rows) -> Vec<Folded> {
    let folded = |row: &crate::Row| {
        let (first, last, count) = rows.users(row);
        Folded {
            address: row.address.map_or(String::new(), Address::text),
            login: row.what == What::Login,
            key: (row.format, owned(&rows.hosts[row.host as usize]), row.tls, row.looped),
            first: row.first,
            last: row.last,
            n: row.n,
            offset: row.offset,
            session: rows.session(row).map(owned),
            users: (first.map(owned), last.map(owned), count),
        }
    };
    rows.rows.iter().map(folded).collect()
}

/// The pieces of some lines, cut at line ends as `cuts` says.
fn pieces(data: &[u8], mut cuts: impl FnMut() -> usize) -> Vec<(usize, &[u8])> {
    let (mut start, mut stop, mut pieces) = (0, 0, Vec::new());
    let mut left = cuts();
    for line in data.split_inclusive(|&byte| byte == b'\n') {
        stop += line.len();
        if left == 0 || stop == data.len() {
            pieces.push((start, &data[start..stop]));
            (start, left) = (stop, cuts());
        } else {
            left -= 1;
        }
    }
    pieces
}

/// A log of few hosts, addresses, users and sessions, so that everything meets everything.
fn log(random: &mut Random, lines: usize) -> Vec<u8> {
    let mut log = String::new();
    let mut clock = 0;
    for _ in 0..lines {
        clock += random.below(120);
        // Some lines late, some far off, around the hour that comes twice.
        let second = 5_400 + clock as i64 - *random.pick(&[0, 0, 0, 0, 200, 4_000]);
        let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
        let host = random.pick(&["mx", "m2", "m\u{fffd}"]);
        let (user, id, ip) = (random.below(3), random.below(4), 1 + random.below(3));
        let tag = random.pick(&["alpha", "alpha", "alphas[3]", "both", "beta[1]", "x/alpha"]);
        let long = if random.below(3) == 0 { " ".repeat(60) } else { String::new() };
        if random.below(3) == 0 {
            let pid = random.below(2);
            let message = match random.below(6) {
                0 | 1 => format!("from 192.0.2.{ip}"),
                2 | 3 => format!("ok u{user} id=s{id}"),
                4 => format!("bad {long}"),
                _ => "end".to_owned(),
            };
            writeln!(log, "Oct 25 {hour:02}:{minute:02}:{second:02} mx steps[{pid}]: {message}").unwrap();
            continue;
        }
        let message = match random.below(8) {
            0 | 1 => format!("in: u{user} ip=192.0.2.{ip} id=s{id}"),
            2 => format!("in: u{user} ip=2001:db8::{ip} lip=2001:db8::{} tls", random.below(3)),
            3 => format!("out: id=s{id}"),
            4 => format!("out: ip=192.0.2.{ip} id=s{id}"),
            5 | 6 => format!("hello 192.0.2.{ip} {long}"),
            _ => format!("in: {long}x"),
        };
        writeln!(log, "Oct 25 {hour:02}:{minute:02}:{second:02} {host} {tag}: {message}").unwrap();
    }
    log.into_bytes()
}

#[test]
fn results_do_not_depend_on_where_chunks_are_cut() {
    let catalogue = catalogue(&BERLIN);
    let mut random = Random::new(8);
    let (mut events, mut continuations, mut joined) = (0, 0, 0);
    for round in 0..80 {
        let data = log(&mut random, 200);
        let run = |pieces: &[(usize, &[u8])], live| {
            let mut folded = Stream::new(catalogue.clone(), 1_800, live, true);
            let mut plain = Stream::new(catalogue.clone(), 1_800, live, true);
            let mut told = Vec::new();
            for &(start, piece) in pieces {
                let scan = catalogue.scan(piece, Layout::Syslog, REFERENCE);
                folded.add(&scan, piece, start as u64);
                told.extend(plain.events(&scan, piece).iter().map(|event| tell(event, start as u64)));
            }
            let counters: BTreeMap<String, u64> = plain.counters().collect();
            let without: BTreeMap<String, u64> = folded.counters().collect();
            // Where logins are folded nobody looks for the addresses of logouts.
            let expected = counters.clone().into_iter().chain([("logout_no_address".to_owned(), 0)]).collect();
            assert_eq!(without, expected);
            (told, rows(&folded.take()), counters)
        };
        let live = round % 2 == 0;
        let whole = run(&[(0, &data)], live);
        for most in [1, 2, 9, 40] {
            let cut = pieces(&data, || random.below(most));
            assert_eq!(run(&cut, live), whole, "{most}");
        }
        let (told, folded, counters) = whole;
        assert_eq!(folded, model(&told, 1_800));
        let sum: u64 = counters
            .iter()
            .filter(|(name, _)| !["lines", "logout_no_address"].contains(&&name[..]))
            .map(|(_, n)| n)
            .sum();
        assert_eq!((sum, counters["lines"]), (200, 200));
        events += counters["login"] + counters["logout"];
        continuations += counters["missed_continuation"];
        joined += told.iter().filter(|event| event.format == 2 && event.what == What::Logout).count();
    }
    assert!(events > 5_000 && continuations > 200 && joined > 50, "{events} {continuations} {joined}");
}

/// Rows as docs/MATCHING.md says them, event by event.
fn model(events: &[Told], gap: i64) -> Vec<Folded> {
    let mut made: Vec<(Folded, BTreeSet<String>)> = Vec::new();
    let mut open: BTreeMap<(String, bool), (i64, Vec<usize>)> = BTreeMap::new();
    for event in events {
        let (Some(timestamp), Some(address), What::Login) = (event.timestamp, event.address.clone(), event.what) else {
            continue;
        };
        let ahead = timestamp > REFERENCE + MAX_AHEAD;
        let (greatest, rows) = open.entry((address.clone(), ahead)).or_insert((timestamp, Vec::new()));
        if timestamp > *greatest + gap {
            rows.clear();
        }
        *greatest = timestamp.max(*greatest);
        let key = (event.format, event.host.clone(), event.tls, event.looped);
        let at = rows.iter().copied().find(|&at| made[at].0.key == key).unwrap_or_else(|| {
            let row = Folded {
                address,
                login: true,
                key,
                first: timestamp,
                last: timestamp,
                n: 0,
                offset: event.offset,
                session: None,
                users: (None, None, 0),
            };
            made.push((row, BTreeSet::new()));
            rows.push(made.len() - 1);
            made.len() - 1
        });
        let (row, users) = &mut made[at];
        row.last = row.last.max(timestamp);
        row.n += 1;
        if let Some(user) = &event.user {
            users.insert(user.clone());
            row.users.0.get_or_insert_with(|| user.clone());
            row.users.1 = Some(user.clone());
            row.users.2 = (users.len() as u32).min(MAX_USERS);
        }
    }
    made.into_iter().map(|(row, _)| row).collect()
}

#[test]
fn every_counter_is_there_from_the_beginning() {
    let names: BTreeSet<String> = Stream::new(catalogue(&[(0, 0)]), 0, false, true)
        .counters()
        .map(|(name, n)| {
            assert_eq!(n, 0);
            name
        })
        .collect();
    let want = [
        "lines",
        "too_long",
        "login",
        "logout",
        "other",
        "logout_no_address",
        "missed_no_pattern",
        "missed_bad_address",
        "missed_bad_stamp",
        "missed_cut_record",
        "missed_continuation",
        "missed_no_session",
    ];
    assert_eq!(names, want.map(str::to_owned).into());
}
