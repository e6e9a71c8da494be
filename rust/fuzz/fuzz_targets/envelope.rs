//! Any bytes as lines: the quick reader of heads finds what the grammar finds, and nothing panics.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pbs_core::{Catalogue, Layout};

static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let catalogue = CATALOGUE.get_or_init(|| Catalogue::new(&pbs_fuzz::formats(), &pbs_fuzz::ZONE).unwrap());
    let known = pbs_core::fuzzing::check_envelopes(catalogue, data);
    let sniffed = catalogue.sniff(data);
    // A line of a known tag is conclusive.
    assert!(known == 0 || sniffed.is_some());
    for line in data.split(|&byte| byte == b'\n') {
        let _ = catalogue.timestamp(line, Layout::Syslog, pbs_fuzz::REFERENCE);
        if let Some(layout) = catalogue.sniff(line).and_then(|name| catalogue.layout(name)) {
            let _ = catalogue.timestamp(line, layout, pbs_fuzz::REFERENCE);
        }
    }
});
