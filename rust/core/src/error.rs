//! Why formats or a zone cannot be compiled, in one line each; knows nothing of Python.

use std::fmt;

/// A catalogue that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A pattern that no engine accepts.
    Pattern {
        /// Name of the format.
        format: String,
        /// Which of its patterns, as the format's file names them: `login`, `session.address`, `own_log.probe`.
        list: &'static str,
        /// Position in that list, from 1.
        number: usize,
        /// The engine's reason, in one line.
        reason: String,
    },
    /// Two formats of one name, or the reserved name `syslog`.
    Name(String),
    /// A zone table that is empty or does not ascend.
    Zone,
    /// More formats, patterns or tags than 16-bit numbers can name.
    TooMany(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern { format, list, number, reason } => {
                write!(
                    out,
                    "format {format}: {list} pattern {number}: {reason}; see 'Patterns' in docs/FORMAT-FILES.md"
                )
            }
            Self::Name(name) => write!(out, "format {name}: the name is taken; give each format a name of its own"),
            Self::Zone => {
                write!(out, "zone: the table is empty or its starts do not ascend; give (start, offset) rows")
            }
            Self::TooMany(what) => {
                write!(out, "formats: more than 65,535 {what}; split the catalogue")
            }
        }
    }
}

impl std::error::Error for Error {}
