//! What a row holds and when a new one begins.

use super::*;

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
            for row in stream.take().rows.iter().filter(|row| row.what == What::Login) {
                let address = row.address.unwrap();
                if last.get(&address).is_none_or(|&last| row.first > last + gap) {
                    new.insert((row.offset, row.first));
                }
                let last = last.entry(address).or_insert(row.last);
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

#[test]
fn a_gap_is_a_second_more_than_the_gap() {
    let catalogue = catalogue(&[(0, 0)]);
    let rows_of = |seconds: [i64; 4], gap| {
        let mut stream = Stream::new(catalogue.clone(), gap, false, true);
        let line = |second: i64| format!("1970-01-01T00:00:{second:02}Z mx alpha: in: u ip=192.0.2.1\n");
        let data = seconds.map(line).concat();
        stream.add(&catalogue.scan(data.as_bytes(), Layout::Syslog, 0), data.as_bytes(), 0);
        rows(&stream.take()).iter().map(|row| (row.first, row.last, row.n)).collect::<Vec<_>>()
    };
    assert_eq!(rows_of([0, 10, 20, 30], 10), [(0, 30, 4)]);
    assert_eq!(rows_of([0, 11, 21, 32], 10), [(0, 0, 1), (11, 21, 2), (32, 32, 1)]);
    // A late event does not bring the gap nearer.
    assert_eq!(rows_of([20, 5, 30, 31], 10), [(20, 31, 4)]);
}
