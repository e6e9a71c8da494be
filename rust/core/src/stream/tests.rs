//! Order: borders of chunks, the ambiguous hour, sessions, fold, counters (docs/MATCHING.md, 6 and 7).

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
    stamp: Option<i64>,
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
        stamp: event.stamp,
        format: event.format,
        host: owned(event.host),
        user: event.user.map(owned),
        session: event.session.map(owned),
        tls: event.tls,
        looped: event.looped,
    }
}

fn rows(rows: &Rows) -> Vec<Folded> {
    let folded = |row: &crate::Row| {
        let (first, last, count) = rows.users(row);
        Folded {
            address: row.address.text(),
            login: row.login,
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
    let (mut events, mut continuations) = (0, 0);
    for round in 0..60 {
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
            let counters: BTreeMap<String, u64> = folded.counters().collect();
            assert_eq!(counters, plain.counters().collect());
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
    }
    assert!(events > 6_000 && continuations > 200, "{events} {continuations}");
}

/// Rows as docs/MATCHING.md says them, event by event.
fn model(events: &[Told], gap: i64) -> Vec<Folded> {
    let mut made: Vec<(Folded, BTreeSet<String>)> = Vec::new();
    let mut open: BTreeMap<(String, bool, bool), (i64, Vec<usize>)> = BTreeMap::new();
    for event in events {
        let (Some(stamp), Some(address)) = (event.stamp, event.address.clone()) else { continue };
        let (login, ahead) = (event.what == What::Login, stamp > REFERENCE + MAX_AHEAD);
        let (greatest, rows) = open.entry((address.clone(), login, ahead)).or_insert((stamp, Vec::new()));
        if stamp > *greatest + gap {
            rows.clear();
        }
        *greatest = stamp.max(*greatest);
        let key = (event.format, event.host.clone(), event.tls, event.looped);
        let at = rows.iter().copied().find(|&at| made[at].0.key == key).unwrap_or_else(|| {
            let row = Folded {
                address,
                login,
                key,
                first: stamp,
                last: stamp,
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
        row.last = row.last.max(stamp);
        row.n += 1;
        row.session = row.session.clone().or_else(|| event.session.clone());
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
fn a_consumer_of_rows_sees_the_same_new_grants_as_one_of_events() {
    let catalogue = catalogue(&BERLIN);
    let mut random = Random::new(21);
    let mut grants = 0;
    for _ in 0..40 {
        let data = log(&mut random, 300);
        let gap = *random.pick(&[0, 60, 900]);
        let scan = catalogue.scan(&data, Layout::Syslog, REFERENCE);
        let of = |folds| {
            let mut stream = Stream::new(catalogue.clone(), gap, false, folds);
            stream.add(&scan, &data, 0);
            let mut last: BTreeMap<Address, i64> = BTreeMap::new();
            let mut new = BTreeSet::new();
            for row in stream.take().rows.iter().filter(|row| row.login) {
                if last.get(&row.address).is_none_or(|&last| row.first > last + gap) {
                    new.insert((row.offset, row.first));
                }
                let last = last.entry(row.address).or_insert(row.last);
                *last = row.last.max(*last);
            }
            (new, last)
        };
        let (folded, single) = (of(true), of(false));
        assert_eq!(folded, single);
        grants += folded.0.len();
    }
    assert!(grants > 500, "only {grants} grants");
}

/// Stamps of one-line scans, in order, as seconds after `TWICE`.
fn settled(clocks: &[&str], live: Option<i64>) -> Vec<i64> {
    let catalogue = catalogue(&BERLIN);
    let mut stream = Stream::new(catalogue.clone(), 0, live.is_some(), true);
    let stamp = |clock: &&str| {
        let line = format!("Oct 25 {clock} mx alpha: in: a ip=192.0.2.1");
        let scan = catalogue.scan(line.as_bytes(), Layout::Syslog, live.unwrap_or(REFERENCE));
        stream.events(&scan, line.as_bytes())[0].stamp.unwrap() - TWICE
    };
    clocks.iter().map(stamp).collect()
}

#[test]
fn the_hour_that_comes_twice_keeps_a_file_in_order() {
    assert_eq!(settled(&["02:10:00"], None), [600]);
    assert_eq!(settled(&["02:50:00", "02:10:00", "02:50:00", "03:00:00"], None), [3_000, 4_200, 6_600, 7_200]);
    // 300 seconds back is a late line, 301 is the second time.
    assert_eq!(settled(&["02:50:00", "02:45:00"], None), [3_000, 2_700]);
    assert_eq!(settled(&["02:50:00", "02:44:59"], None), [3_000, 6_299]);
    // Outside that hour there is nothing to choose.
    assert_eq!(settled(&["02:50:00", "01:10:00", "02:10:00"], None), [3_000, -3_000, 600]);
}

#[test]
fn live_the_hour_that_comes_twice_is_the_one_nearest_to_now() {
    assert_eq!(settled(&["02:10:00"], Some(TWICE + 600)), [600]);
    assert_eq!(settled(&["02:10:00"], Some(TWICE + 2_400)), [600]);
    assert_eq!(settled(&["02:10:00"], Some(TWICE + 2_401)), [4_200]);
    assert_eq!(settled(&["02:50:00", "02:10:00"], Some(TWICE)), [3_000, 600]);
}

/// Addresses of the events of some messages under tag `alpha`.
fn addresses(messages: &[&str]) -> Vec<Option<String>> {
    let catalogue = catalogue(&[(0, 0)]);
    let mut stream = Stream::new(catalogue.clone(), 0, false, true);
    let address = |message: &&str| {
        let line = format!("Oct 25 02:00:00 mx alpha: {message}");
        let scan = catalogue.scan(line.as_bytes(), Layout::Syslog, REFERENCE);
        stream.events(&scan, line.as_bytes())[0].address.map(Address::text)
    };
    messages.iter().map(address).collect()
}

#[test]
fn a_logout_takes_the_address_of_its_session_once() {
    let some = |address: &str| Some(address.to_owned());
    assert_eq!(
        addresses(&["out: id=a", "in: u ip=192.0.2.1 id=a", "out: id=b", "out: id=a", "out: id=a"]),
        [None, some("192.0.2.1"), None, some("192.0.2.1"), None]
    );
    // The same id again is the newer login's; a logout with an address takes nothing away.
    assert_eq!(
        addresses(&["in: u ip=192.0.2.1 id=a", "in: u ip=192.0.2.2 id=a", "out: ip=192.0.2.9 id=a", "out: id=a"])[3],
        some("192.0.2.2")
    );
    // An empty id is none.
    assert_eq!(addresses(&["in: u ip=192.0.2.1 id=", "out: id="])[1], None);
}

#[test]
fn a_logout_without_address_is_counted_and_in_no_row() {
    let catalogue = catalogue(&[(0, 0)]);
    let mut stream = Stream::new(catalogue.clone(), 0, false, true);
    let line = b"Oct 25 02:00:00 mx alpha: out: id=a\n";
    stream.add(&catalogue.scan(line, Layout::Syslog, REFERENCE), line, 0);
    let counters: BTreeMap<String, u64> = stream.counters().collect();
    assert_eq!((counters["logout"], counters["logout_no_address"], counters["lines"]), (1, 1, 1));
    assert!(stream.take().rows.is_empty());
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
    ];
    assert_eq!(names, want.map(str::to_owned).into());
}

#[test]
fn a_row_counts_its_users_up_to_the_limit_and_names_the_last() {
    let catalogue = catalogue(&[(0, 0)]);
    let mut stream = Stream::new(catalogue.clone(), 1_800, false, true);
    let users = (0..200).chain([7, 199, 3]);
    let lines: Vec<String> = users.map(|n| format!("Oct 25 02:00:00 mx alpha: in: u{n} ip=192.0.2.1\n")).collect();
    let data = lines.concat();
    stream.add(&catalogue.scan(data.as_bytes(), Layout::Syslog, REFERENCE), data.as_bytes(), 0);
    let rows = rows(&stream.take());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].users, (Some("u0".to_owned()), Some("u3".to_owned()), MAX_USERS));
    assert_eq!((rows[0].n, rows[0].offset), (203, 0));
}

#[test]
fn take_forgets_rows_and_keeps_order() {
    let catalogue = catalogue(&BERLIN);
    let mut stream = Stream::new(catalogue.clone(), 1_800, false, true);
    let mut add = |clock: &str| {
        let line = format!("Oct 25 {clock} mx alpha: in: u ip=192.0.2.1");
        stream.add(&catalogue.scan(line.as_bytes(), Layout::Syslog, REFERENCE), line.as_bytes(), 0);
        rows(&stream.take()).iter().map(|row| (row.first - TWICE, row.n)).collect::<Vec<_>>()
    };
    assert_eq!(add("02:50:00"), [(3_000, 1)]);
    assert_eq!(add("02:10:00"), [(4_200, 1)]);
}

#[test]
fn a_stamp_ahead_has_a_row_of_its_own() {
    let catalogue = catalogue(&[(0, 0)]);
    let mut stream = Stream::new(catalogue.clone(), 1 << 40, false, true);
    let at =
        |second: i64| format!("1970-01-01T00:{:02}:{:02}Z mx alpha: in: u ip=192.0.2.1\n", second / 60, second % 60);
    let data = [at(0), at(300), at(301), at(1)].concat();
    stream.add(&catalogue.scan(data.as_bytes(), Layout::Syslog, 0), data.as_bytes(), 0);
    let rows: Vec<(i64, i64, u64)> = rows(&stream.take()).iter().map(|row| (row.first, row.last, row.n)).collect();
    assert_eq!(rows, [(0, 300, 3), (301, 301, 1)]);
}
