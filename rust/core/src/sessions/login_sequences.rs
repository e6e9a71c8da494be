//! Logins that take several lines, joined by host, tag and pid (docs/MATCHING.md, 6): one memory a format.
//!
//! A step only says what its own line says; what it comes to depends on the steps of the same process before it, so
//! this is of the ordered half and sees each step once, in order.

use crate::address::Address;
use crate::record::ORDER_SLACK;
use crate::sessions::store::{LIMIT, LONGEST, Sessions};
use crate::texts::text;

/// Longest time in seconds from the line with the address to that of the success: a client that is slow to log in, or
/// tries several names, is dropped by every server long before.
const MAX_LOGIN: i64 = 600;

/// What the address line of a process said, and its login if it came to one.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) address: Address,
    pub(crate) looped: bool,
    /// As the success line says it, once there is one that does.
    pub(crate) tls: Option<bool>,
    /// UTC seconds, resolved.
    pub(crate) timestamp: i64,
    pub(crate) login: Option<Box<Opened>>,
}

/// What the line of a login's success said, as bytes of that line.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) user: Option<Box<[u8]>>,
    pub(crate) session: Option<Box<[u8]>>,
}

/// What a success comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    /// A login from this address, whether it is looped, and its TLS.
    Login(Address, bool, Option<bool>),
    /// The login was seen already.
    Again,
    /// No address line, or one too far off.
    Unknown,
}

/// The processes of one format that are in the middle of a login or of a session.
#[derive(Debug)]
pub(crate) struct Joins {
    processes: Sessions<Joined>,
    key: Vec<u8>,
}

/// Who wrote a step. None of the three holds a blank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) tag: &'a [u8],
    pub(crate) pid: &'a [u8],
}

impl Joins {
    pub(crate) fn new() -> Self {
        Self { processes: Sessions::new(LIMIT), key: Vec::new() }
    }

    /// A new login begins; whatever the process did before is over, because its pid is used again.
    pub(crate) fn begin(&mut self, process: Process<'_>, joined: Joined) {
        self.set_key(process);
        self.processes.insert(&self.key, joined);
    }

    /// The login succeeds at `timestamp`, which may lie `ORDER_SLACK` before its address line; `tls` as that line says.
    /// `opened` is asked for when it is the first time.
    pub(crate) fn succeed(
        &mut self,
        process: Process<'_>,
        timestamp: i64,
        tls: Option<bool>,
        opened: impl FnOnce() -> Opened,
    ) -> Success {
        self.set_key(process);
        match self.processes.get_mut(&self.key) {
            Some(joined) if joined.login.is_some() => Success::Again,
            Some(joined) if (-ORDER_SLACK..=MAX_LOGIN).contains(&(timestamp - joined.timestamp)) => {
                let opened = opened();
                let len = |bytes: &Option<Box<[u8]>>| bytes.as_deref().map_or(0, |bytes| text(bytes).len());
                let is_long = len(&opened.user) + len(&opened.session) > LONGEST;
                joined.login = Some(Box::new(opened));
                joined.tls = tls.or(joined.tls);
                let login = Success::Login(joined.address, joined.looped, joined.tls);
                if is_long {
                    self.processes.take(&self.key);
                }
                login
            }
            _ => Success::Unknown,
        }
    }

    /// The login failed or the session is over; what was known of it.
    pub(crate) fn end(&mut self, process: Process<'_>) -> Option<Joined> {
        self.set_key(process);
        self.processes.take(&self.key)
    }

    fn set_key(&mut self, Process { host, tag, pid }: Process<'_>) {
        self.key.clear();
        for part in [host, b" ", tag, b" ", pid] {
            self.key.extend_from_slice(part);
        }
    }
}
