//! What stands before a message: timestamp, host, tag, pid.

pub(crate) mod envelope;
pub(crate) mod envelope_cache;
pub(crate) mod shape;
pub(crate) mod tags;
