//! Patterns of formats, compiled: prefixes, a one-pass DFA, whole lines.

pub(crate) mod alphabet;
pub(crate) mod engine;
pub(crate) mod onepass;
pub(crate) mod prefix;
pub(crate) mod wholeline;
