//! Mail log lines in, login events out.
//!
//! The contract is `docs/MATCHING.md`. A `Catalogue` (compiled formats and a zone) scans bytes, which is pure and may
//! run on many threads; a `Stream` takes the scans of one source in order and folds their events into rows. Nothing
//! here knows Python, files, tables or the wall clock.
#![forbid(unsafe_code)]
// Tests compare what may be none with what may not, and name things by one word.
#![cfg_attr(test, allow(clippy::unnecessary_wraps, clippy::similar_names, clippy::many_single_char_names))]

mod address;
mod begins;
mod catalogue;
mod civil;
mod cuts;
mod error;
mod fold;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod head;
mod lines;
mod literals;
mod pattern;
mod postfix;
mod record;
mod scan;
mod sequence;
mod sessions;
mod shared;
mod shared_lists;
mod span;
mod spec;
mod stream;
mod texts;
mod timestamp;
mod users;

#[cfg(test)]
mod testing;

pub use address::Address;
pub use begins::unusual_begins;
pub use catalogue::{Catalogue, Layout, SYSLOG};
pub use error::Error;
pub use fold::{Row, Rows};
pub use pattern::engine::one_pass;
pub use postfix::{PostfixKind, PostfixLine, PostfixLines};
pub use record::{Ending, Missed, What};
pub use scan::Scan;
pub use shared::{SharedBounds, SharedRow, SharedRows};
pub use shared_lists::{OwnRow, SharedLists, is_plain};
pub use spec::FormatSpec;
pub use stream::{Event, Stream};

/// Longest line in bytes, without its line end; longer ones are dropped whole.
pub const MAX_LINE: usize = 16_384;

/// Seconds after the reference from which on a timestamp is *ahead*.
pub const MAX_AHEAD: i64 = 300;

/// A gap with which each login is a row: no timestamp is that far behind another.
pub const NO_GAP: i64 = i64::MIN / 2;

/// Distinct users that a row counts.
pub const MAX_USERS: u32 = 64;
