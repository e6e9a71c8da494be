//! What a scan keeps of a line that carries an event or was missed.

use crate::address::Address;
use crate::head::envelope::Envelope;
use crate::span::Span;

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
    /// The success of a login whose address line is not known, too far off, or not of this process.
    NoSession,
}

impl Missed {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 6] =
        [Self::NoPattern, Self::BadAddress, Self::BadStamp, Self::CutRecord, Self::Continuation, Self::NoSession];

    /// The reason as events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPattern => "no-pattern",
            Self::BadAddress => "bad-address",
            Self::BadStamp => "bad-stamp",
            Self::CutRecord => "cut-record",
            Self::Continuation => "continuation",
            Self::NoSession => "no-session",
        }
    }
}

/// Which sessions end by words of the server that are no logout (docs/MATCHING.md, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All sessions of the server.
    Restart,
    /// Those of a process.
    Killed,
    /// That of a user's latest login.
    Aborted,
}

impl Ending {
    /// The ending as rows name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Killed => "killed",
            Self::Aborted => "aborted",
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
    /// Words of the server that end sessions without a logout.
    Ending(Ending),
    /// A line that looks like a login and is no event.
    Missed(Missed),
}

/// What a line says by itself; a `Sequence` makes of the steps of a session what they come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Login,
    /// A login that no refused one can end like, of a server that writes all of them so.
    Marked,
    /// A login that the end of a refused one may look like.
    Unmarked,
    Logout,
    Missed(Missed),
    /// The address of a login that takes several lines.
    Address,
    /// That login.
    Success,
    /// There will be none.
    Failure,
    /// The end of such a session.
    End,
    /// These three as `Ending` has them; flat, for a `Said` of one byte.
    Restart,
    Killed,
    Aborted,
}

impl Said {
    /// Which sessions end by the line, without a logout.
    pub(crate) fn ending(self) -> Option<Ending> {
        match self {
            Self::Restart => Some(Ending::Restart),
            Self::Killed => Some(Ending::Killed),
            Self::Aborted => Some(Ending::Aborted),
            _ => None,
        }
    }

    /// Whether the line is a login by itself.
    pub(crate) fn is_login(self) -> bool {
        matches!(self, Self::Login | Self::Marked | Self::Unmarked)
    }

    /// Whether the line is an event or missed, and no other step.
    pub(crate) fn is_event(self) -> bool {
        self.is_login() || matches!(self, Self::Logout | Self::Success)
    }
}

/// One line with an event, a step, or a missed one. Spans are of the line, which starts at `line` in the scanned bytes.
///
/// A replay holds one for each event of a piece, so it is packed: 64 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) line: usize,
    /// Earlier reading, UTC seconds; `NO_TIMESTAMP` for missed lines and for steps without a valid timestamp.
    pub(crate) timestamp: i64,
    /// Seconds to the later reading; 0 when there is none.
    pub(crate) later: u32,
    pub(crate) format: u16,
    pub(crate) said: Said,
    pub(crate) looped: bool,
    pub(crate) tls: Option<bool>,
    /// `None` for missed lines, for a logout whose line has none, and for steps that have none.
    pub(crate) address: Option<Address>,
    pub(crate) host: Span,
    pub(crate) user: Option<Span>,
    /// Empty for none.
    pub(crate) session: Span,
    /// Empty for none.
    pub(crate) tag: Span,
    /// Digits; empty for none.
    pub(crate) pid: Span,
}

/// Far from any timestamp.
pub(crate) const NO_TIMESTAMP: i64 = i64::MIN;

/// How far before its predecessor an event may lie, in seconds, until its later reading is the better one: writers
/// hold lines back for less than this.
pub(crate) const ORDER_SLACK: i64 = 300;

const _: () = assert!(size_of::<Record>() == 64);

impl Record {
    /// A line of which only the writer is known.
    pub(crate) fn new(line: usize, format: u16, envelope: &Envelope) -> Self {
        Self {
            line,
            timestamp: NO_TIMESTAMP,
            later: 0,
            format,
            said: Said::Missed(Missed::NoPattern),
            looped: false,
            tls: None,
            address: None,
            host: envelope.host,
            user: None,
            session: Span::default(),
            tag: envelope.tag.unwrap_or_default(),
            pid: envelope.pid,
        }
    }

    /// The session id; never empty.
    pub(crate) fn session_id<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        (!self.session.is_empty()).then(|| self.session.of(line))
    }

    /// The same line as a missed one.
    pub(crate) fn missed(self, reason: Missed) -> Self {
        Self { said: Said::Missed(reason), timestamp: NO_TIMESTAMP, ..self }
    }
}
