//! What a later line of a session knows from an earlier one.

pub(crate) mod login_sequences;
pub(crate) mod memory;
pub(crate) mod store;
