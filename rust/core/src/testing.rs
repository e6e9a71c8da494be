//! What tests share: a deterministic random source and a small catalogue.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::spec::FormatSpec;

/// `SplitMix64`: the same numbers on every machine, so a failing test fails again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// `alpha` and `beta` share a tag; `alpha` has everything that a format of one-line logins can have, `beta` has records
/// that are cut at 60 bytes. `steps` has sessions over several lines and an end of its own kind.
pub(crate) fn specs() -> Vec<FormatSpec> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let alpha = FormatSpec {
        name: "alpha".to_owned(),
        program: texts(&["alpha", "*/alpha", "both"]),
        tls_program: texts(&["alphas", "*/alphas"]),
        success: texts(&["in: "]),
        login: texts(&[
            r"in: (?P<user>[^ ]*) ip=(?P<ip>[^ ]+)(?: lip=(?P<lip>[^ ]+))?(?: id=(?P<session>[^ ]*))?(?P<tls> tls)?",
            r"in: (?P<user>[^ ]*)(?: at=(?P<ip>[^ ]+))?",
        ]),
        logout: texts(&[r"out: id=(?P<session>[^ ]*)", r"out: ip=(?P<ip>[^ ]+)(?: id=(?P<session>[^ ]*))?"]),
        own_prefix: texts(&["alpha: "]),
        own_probe: Some("(?:in|out|note): ".to_owned()),
        own_in_syslog: true,
        ..FormatSpec::default()
    };
    let beta = FormatSpec {
        name: "beta".to_owned(),
        program: texts(&["beta", "both"]),
        success: texts(&["in: ", "hello "]),
        login: texts(&[r"hello (?P<ip>[0-9a-f:.]+)(?: .*)?", r"in: [^ ]* ip=(?P<ip>[^ ]+)"]),
        cut: 60,
        ..FormatSpec::default()
    };
    let steps = FormatSpec {
        name: "steps".to_owned(),
        program: texts(&["steps"]),
        tls_program: texts(&["stepss"]),
        success: texts(&["ok "]),
        logout: texts(&[r"out: id=(?P<session>[^ ]*)"]),
        session_address: texts(&[r"from (?P<ip>[^ ]+)(?: to (?P<lip>[^ ]+))?(?P<tls> tls)?"]),
        session_success: texts(&[
            r"ok (?P<user>[^ ]*)(?: id=(?P<session>[^ ]*))?",
            r"ok (?P<user>[^ ]*) by(?P<tls> tls)?",
        ]),
        session_failure: texts(&["bad .*"]),
        session_end: texts(&["end(?: (?P<user>[^ ]*))?"]),
        restart: texts(&["up.*"]),
        killed: texts(&["died (?P<pid>[0-9]*)"]),
        aborted: texts(&["error of (?P<user>[^ ]*)"]),
        cut: 60,
        ..FormatSpec::default()
    };
    vec![alpha, beta, steps]
}

/// Those formats, compiled.
pub(crate) fn catalogue(zone: &[(i64, i64)]) -> Arc<Catalogue> {
    Arc::new(Catalogue::new(&specs(), zone).unwrap())
}
