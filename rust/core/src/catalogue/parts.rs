//! What a catalogue is made of.

use aho_corasick::packed::Searcher;
use regex_automata::meta;

use crate::cuts::Rule;
use crate::pattern::engine::Engine;
use crate::pattern::prefix::Prefixes;
use crate::record::Said;

/// The name of the layout that is no format's own.
pub const SYSLOG: &str = "syslog";

#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) name: String,
    pub(crate) success: Vec<Vec<u8>>,
    pub(crate) own: Option<Own>,
    /// Whether some logout of this format may need the address of its session.
    pub(crate) needs_sessions: bool,
}

#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) prefixes: Vec<Box<[u8]>>,
    pub(crate) probe: meta::Regex,
    pub(crate) target: u16,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) format: u16,
    /// What a match says; never `Missed`.
    pub(crate) said: Said,
    pub(crate) has_tls: bool,
    pub(crate) engine: Engine,
}

/// What one tag, or one own log, can mean: the patterns to try, in order.
#[derive(Debug)]
pub(crate) struct Target {
    /// Pattern, and whether the tag says that its logins are over TLS.
    pub(crate) patterns: Vec<(u16, bool)>,
    pub(crate) prefixes: Prefixes,
    pub(crate) formats: Vec<u16>,
    /// The success texts of all its formats, looked for at once, because nearly every line holds none. `None` where
    /// there are none, or too many for that.
    pub(crate) success: Option<Searcher>,
    /// Which records are cut ones.
    pub(crate) cut: Rule,
    /// The formats whose own lines may be its messages.
    pub(crate) nested: Vec<u16>,
}

impl Own {
    /// Whether a message starts as those of this log do.
    pub(crate) fn starts(&self, message: &[u8]) -> bool {
        let input = regex_automata::Input::new(message).anchored(regex_automata::Anchored::Yes).earliest(true);
        self.probe.search_half(&input).is_some()
    }
}
