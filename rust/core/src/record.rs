//! What a scan keeps of a line that carries an event or was missed.

use crate::address::Address;
use crate::envelope::Span;

/// Why a line that looks like a login made no event (docs/MATCHING.md, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Success text, but no pattern took the message.
    NoPattern,
    /// Group `ip` holds no address.
    BadAddress,
    /// No such date or time.
    BadStamp,
    /// The record is as long as those that its writer cuts.
    CutRecord,
    /// The record before it, of the same host and tag, was cut.
    Continuation,
}

impl Missed {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::NoPattern, Self::BadAddress, Self::BadStamp, Self::CutRecord, Self::Continuation];

    /// The reason as events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPattern => "no-pattern",
            Self::BadAddress => "bad-address",
            Self::BadStamp => "bad-stamp",
            Self::CutRecord => "cut-record",
            Self::Continuation => "continuation",
        }
    }
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A login.
    Login,
    /// The end of a login's session.
    Logout,
    /// A line that looks like a login and is no event.
    Missed(Missed),
}

/// One line with an event, or a missed one. Spans are of the line, which starts at `line` in the scanned bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) line: usize,
    /// Earlier reading, UTC seconds; 0 for missed lines.
    pub(crate) stamp: i64,
    /// Seconds to the later reading; 0 when there is none.
    pub(crate) later: u32,
    pub(crate) format: u16,
    pub(crate) what: What,
    pub(crate) looped: bool,
    pub(crate) tls: Option<bool>,
    /// `None` for missed lines and for a logout whose line has no address.
    pub(crate) address: Option<Address>,
    pub(crate) host: Span,
    pub(crate) user: Option<Span>,
    /// Never empty.
    pub(crate) session: Option<Span>,
}

impl Record {
    pub(crate) fn missed(line: usize, format: u16, host: Span, reason: Missed) -> Self {
        Self {
            line,
            stamp: 0,
            later: 0,
            format,
            what: What::Missed(reason),
            looped: false,
            tls: None,
            address: None,
            host,
            user: None,
            session: None,
        }
    }
}
