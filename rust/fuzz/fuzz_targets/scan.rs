//! Any bytes as a log, by the packaged catalogue: nothing panics, results do not depend on where it is cut, and the
//! patterns' own engine takes what the reference engine takes.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use pbs_core::{Catalogue, Layout, Stream, What};
use pbs_fuzz::{REFERENCE, pieces};

struct Catalogues {
    walking: Arc<Catalogue>,
    reference: Arc<Catalogue>,
    layouts: Vec<Layout>,
}

static CATALOGUES: OnceLock<Catalogues> = OnceLock::new();

impl Catalogues {
    fn new() -> Self {
        let formats = pbs_fuzz::formats();
        let walking = Arc::new(Catalogue::new(&formats, &pbs_fuzz::ZONE).unwrap());
        let reference = Arc::new(Catalogue::reference(&formats, &pbs_fuzz::ZONE).unwrap());
        let mut layouts = vec![Layout::Syslog; 4];
        layouts.extend(formats.iter().filter_map(|format| walking.layout(&format.name)));
        Self { walking, reference, layouts }
    }
}

/// Everything that comes out, in words.
#[derive(Debug, PartialEq)]
struct Told {
    events: Vec<String>,
    rows: Vec<String>,
    counters: BTreeMap<String, u64>,
}

fn told(catalogue: &Arc<Catalogue>, pieces: &[(usize, &[u8])], layout: Layout, live: bool, folds: bool) -> Told {
    let mut listed = Stream::new(Arc::clone(catalogue), 1_800, live, folds);
    let mut folded = Stream::new(Arc::clone(catalogue), 1_800, live, folds);
    let mut events = Vec::new();
    for &(start, piece) in pieces {
        let scan = catalogue.scan(piece, layout, REFERENCE);
        folded.add(&scan, piece, start as u64);
        for mut event in listed.events(&scan, piece) {
            event.line += start;
            let missed = matches!(event.what, What::Missed(_));
            assert_eq!(event.timestamp.is_none(), missed, "{event:?}");
            assert!(event.address.is_some() || event.what != What::Login, "{event:?}");
            events.push(format!("{event:?}"));
        }
    }
    let counters: BTreeMap<String, u64> = listed.counters().collect();
    // Where logins are folded nobody looks for the addresses of logouts.
    let unasked = folds.then(|| ("logout_no_address".to_owned(), 0));
    assert_eq!(folded.counters().collect::<BTreeMap<_, _>>(), counters.clone().into_iter().chain(unasked).collect());
    let ends = counters.iter().filter(|(name, _)| !["lines", "logout_no_address"].contains(&name.as_str()));
    assert_eq!(ends.map(|(_, n)| n).sum::<u64>(), counters["lines"]);
    let rows = folded.take();
    let row = |(number, row): (usize, &pbs_core::Row)| {
        let (address, host) = (row.address.map(pbs_core::Address::text), &rows.hosts[row.host as usize]);
        let (session, users, process) = (rows.session(row), rows.users(row), rows.process(number));
        let times = (row.first, row.last, row.n, row.offset);
        format!(
            "{address:?} {times:?} {:?} {} {host:?} {:?} {} {session:?} {users:?} {process:?}",
            row.what, row.format, row.tls, row.looped
        )
    };
    let rows = rows.rows.iter().enumerate().map(row).collect();
    Told { events, rows, counters }
}

fuzz_target!(|input: &[u8]| {
    let [how, cuts, data @ ..] = input else { return };
    let catalogues = CATALOGUES.get_or_init(Catalogues::new);
    let layout = catalogues.layouts[usize::from(how >> 2) % catalogues.layouts.len()];
    let (live, folds) = (how & 1 == 1, how & 2 == 2);
    let whole = told(&catalogues.walking, &[(0, data)], layout, live, folds);
    assert_eq!(whole, told(&catalogues.walking, &pieces(data, *cuts), layout, live, folds), "cut by {cuts:#b}");
    assert_eq!(whole, told(&catalogues.reference, &[(0, data)], layout, live, folds), "by the reference engine");
});
