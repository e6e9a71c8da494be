//! The hour that comes twice, and sessions.

use super::*;

/// Timestamps of one-line scans, in order, as seconds after `TWICE`.
fn resolved(clocks: &[&str], live: Option<i64>) -> Vec<i64> {
    let catalogue = catalogue(&BERLIN);
    let mut stream = Stream::new(catalogue.clone(), 0, live.is_some(), true);
    let timestamp = |clock: &&str| {
        let line = format!("Oct 25 {clock} mx alpha: in: a ip=192.0.2.1");
        let scan = catalogue.scan(line.as_bytes(), Layout::Syslog, live.unwrap_or(REFERENCE));
        stream.events(&scan, line.as_bytes())[0].timestamp.unwrap() - TWICE
    };
    clocks.iter().map(timestamp).collect()
}

#[test]
fn the_hour_that_comes_twice_keeps_a_file_in_order() {
    assert_eq!(resolved(&["02:10:00"], None), [600]);
    assert_eq!(resolved(&["02:50:00", "02:10:00", "02:50:00", "03:00:00"], None), [3_000, 4_200, 6_600, 7_200]);
    // 300 seconds back is a late line, 301 is the second time.
    assert_eq!(resolved(&["02:50:00", "02:45:00"], None), [3_000, 2_700]);
    assert_eq!(resolved(&["02:50:00", "02:44:59"], None), [3_000, 6_299]);
    // Outside that hour there is nothing to choose.
    assert_eq!(resolved(&["02:50:00", "01:10:00", "02:10:00"], None), [3_000, -3_000, 600]);
}

#[test]
fn live_the_hour_that_comes_twice_is_the_one_nearest_to_now() {
    assert_eq!(resolved(&["02:10:00"], Some(TWICE + 600)), [600]);
    assert_eq!(resolved(&["02:10:00"], Some(TWICE + 2_400)), [600]);
    assert_eq!(resolved(&["02:10:00"], Some(TWICE + 2_401)), [4_200]);
    assert_eq!(resolved(&["02:50:00", "02:10:00"], Some(TWICE)), [3_000, 600]);
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
    // An empty id means no id.
    assert_eq!(addresses(&["in: u ip=192.0.2.1 id=", "out: id="])[1], None);
}

#[test]
fn a_logout_without_address_is_counted_and_a_row_only_where_nothing_is_folded() {
    let catalogue = catalogue(&[(0, 0)]);
    for (folds, no_address, rows) in [(true, 0, 0), (false, 1, 1)] {
        let mut stream = Stream::new(catalogue.clone(), 0, false, folds);
        let line = b"Oct 25 02:00:00 mx alpha: out: id=a\n";
        stream.add(&catalogue.scan(line, Layout::Syslog, REFERENCE), line, 0);
        let counters: BTreeMap<String, u64> = stream.counters().collect();
        assert_eq!((counters["logout"], counters["logout_no_address"], counters["lines"]), (1, no_address, 1));
        assert_eq!(stream.take().rows.len(), rows);
    }
}
