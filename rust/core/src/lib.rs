//! Mail log lines in, login events out.
#![forbid(unsafe_code)]
