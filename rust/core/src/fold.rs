//! Events to rows: logins folded, one row a key while no gap opens, or each event a row (docs/MATCHING.md, 6, Fold).

use hashbrown::HashMap;

use crate::MAX_AHEAD;
use crate::address::Address;
use crate::record::{Record, What};
use crate::sequence::Resolved;
use crate::texts::{Text, Texts, text};
use crate::users::Users;

/// No row.
const NONE: u32 = u32::MAX;

/// One row of a Batch; texts are in the `Rows` that hold it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Client address; `None` only in rows that are not folded, for what is no login.
    pub address: Option<Address>,
    /// Timestamp of the first event in order, UTC seconds.
    pub first: i64,
    /// Greatest timestamp.
    pub last: i64,
    /// Number of events.
    pub n: u64,
    /// Login, logout, or what else ends sessions; the latter two in rows that are not folded only.
    pub what: What,
    /// Number of the format.
    pub format: u16,
    /// Number of the host in `Rows::hosts`.
    pub host: u32,
    /// Byte offset of the first event's line in its source.
    pub offset: u64,
    /// Whether the session is encrypted, where the line tells.
    pub tls: Option<bool>,
    /// Remote and local end are one address.
    pub looped: bool,
    pub(crate) session: Option<Text>,
    pub(crate) users: Users,
    /// The next open row of the same address and side of now.
    next: u32,
}

/// Rows in the order of their first events, and their texts.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
    /// Distinct hosts, as text in UTF-8.
    pub hosts: Vec<Vec<u8>>,
    texts: Texts,
    /// For each row that is not folded, its process; none for who counts no sessions.
    processes: Vec<Text>,
    /// Whether some row has a session id.
    has_sessions: bool,
}

impl Rows {
    /// The session id; none in folded rows.
    #[must_use]
    pub fn session<'a>(&'a self, row: &Row) -> Option<&'a [u8]> {
        row.session.map(|session| self.texts.get(session))
    }

    /// The first and the last user of the row's events, and how many distinct ones there are, up to `MAX_USERS`.
    #[must_use]
    pub fn users<'a>(&'a self, row: &Row) -> (Option<&'a [u8]>, Option<&'a [u8]>, u32) {
        let get = |user: Option<Text>| user.map(|user| self.texts.get(user));
        (get(row.users.first()), get(row.users.last()), row.users.count())
    }

    /// Whether some row has a session id; folded ones have none.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.has_sessions
    }

    /// Whether rows have processes; folded ones have none.
    #[must_use]
    pub fn has_processes(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Tag and pid as the line has them; the row is that of this number. Empty where rows have none.
    #[must_use]
    pub fn process(&self, row: usize) -> &[u8] {
        self.processes.get(row).map_or(&[], |&process| self.texts.get(process))
    }

    /// The row of this key among the newest few of an address.
    fn find(&self, group: &Group, key: Key) -> Option<usize> {
        let mut at = group.first_row;
        for _ in 0..FEW {
            let row = self.rows.get(at as usize)?;
            if row.key() == key {
                return Some(at as usize);
            }
            at = row.next;
        }
        None
    }

    fn extend(&mut self, row: usize, event: &Resolved<'_>, line: &[u8]) {
        let (row, texts) = (&mut self.rows[row], &mut self.texts);
        row.last = row.last.max(event.timestamp);
        row.n += 1;
        if let Some(user) = event.user(line) {
            row.users.add(texts, user);
        }
    }

    fn open(&mut self, event: &Resolved<'_>, host: u32, line: &[u8], offset: u64, next: u32) -> u32 {
        let number = self.rows.len();
        self.rows.push(Row {
            address: event.address,
            first: event.timestamp,
            last: event.timestamp,
            n: 0,
            what: event.what,
            format: event.record.format,
            host,
            offset,
            tls: event.tls,
            looped: event.looped,
            session: None,
            users: Users::default(),
            next,
        });
        self.extend(number, event, line);
        number as u32
    }

    fn open_alone(&mut self, event: &Resolved<'_>, host: u32, line: &[u8], offset: u64, has_process: bool) {
        let row = self.open(event, host, line, offset, NONE);
        self.rows[row as usize].session = event.session(line).map(|session| self.texts.add(&text(session)));
        self.has_sessions |= self.rows[row as usize].session.is_some();
        if !has_process {
            return;
        }
        let Record { tag, pid, .. } = event.record;
        let tag = text(tag.of(line));
        let process = match (pid.is_empty(), text(pid.of(line))) {
            (true, _) => self.texts.add(&tag),
            (false, pid) => self.texts.add(&[&tag, &b"["[..], &pid, b"]"].concat()),
        };
        self.processes.push(process);
    }
}

impl Row {
    fn key(&self) -> Key {
        (self.format, self.host, self.tls, self.looped)
    }
}

/// What tells the rows of one address apart.
type Key = (u16, u32, Option<bool>, bool);

/// Rows of an address that are looked through, before a map is asked: nearly all have one or two.
const FEW: u32 = 8;

#[derive(Clone, Copy, Debug)]
struct Group {
    greatest: i64,
    /// The newest row; `NONE` where none is open.
    first_row: u32,
    /// The open rows have numbers from here on.
    since: u32,
    /// How many they are.
    rows: u32,
}

/// Rows in the making.
#[derive(Debug)]
pub(crate) struct Fold {
    /// Seconds; an event later than the greatest timestamp by more opens new rows.
    gap: i64,
    /// Else every event is a row.
    folds: bool,
    /// Whether such a row says which process wrote its line.
    processes: bool,
    /// Of logins that are not ahead, and of those that are.
    groups: [HashMap<Address, Group, foldhash::fast::RandomState>; 2],
    /// Rows of addresses that have several, so that one address at many hosts, which may be forged, costs no search.
    crowds: HashMap<(Address, bool, Key), u32, foldhash::fast::RandomState>,
    host_numbers: HashMap<Vec<u8>, u32, foldhash::fast::RandomState>,
    last_host: u32,
    rows: Rows,
}

impl Fold {
    pub(crate) fn new(gap: i64, folds: bool) -> Self {
        Self {
            gap,
            folds,
            processes: true,
            groups: Default::default(),
            crowds: HashMap::default(),
            host_numbers: HashMap::default(),
            last_host: NONE,
            rows: Rows::default(),
        }
    }

    /// The same whose rows do not say which process wrote their lines.
    pub(crate) fn without_processes(self) -> Self {
        Self { processes: false, ..self }
    }

    /// Adds one event, unless it is a logout of nobody known or, where logins are folded, any logout. `line` starts
    /// with its line, which is at `offset` of its source.
    pub(crate) fn add(&mut self, event: &Resolved<'_>, line: &[u8], offset: u64, reference: i64) {
        if !self.folds {
            let ends = matches!(event.what, What::Ending(_));
            if ends || event.address.is_some() || event.session(line).is_some() || !event.record.pid.is_empty() {
                let host = self.host(event.record.host.of(line));
                self.rows.open_alone(event, host, line, offset, self.processes);
            }
            return;
        }
        let Some(address) = event.address.filter(|_| event.what == What::Login) else { return };
        let host = self.host(event.record.host.of(line));
        let timestamp = event.timestamp;
        let ahead = timestamp > reference.saturating_add(MAX_AHEAD);
        let fresh = Group { greatest: timestamp, first_row: NONE, since: 0, rows: 0 };
        let group = self.groups[usize::from(ahead)].entry(address).or_insert(fresh);
        if timestamp > group.greatest.saturating_add(self.gap) {
            (group.first_row, group.since, group.rows) = (NONE, self.rows.rows.len() as u32, 0);
        }
        group.greatest = group.greatest.max(timestamp);
        let key = (event.record.format, host, event.tls, event.looped);
        let found = self.rows.find(group, key).or_else(|| {
            let row = if group.rows > FEW { *self.crowds.get(&(address, ahead, key))? } else { NONE };
            (row != NONE && row >= group.since).then_some(row as usize)
        });
        if let Some(row) = found {
            self.rows.extend(row, event, line);
            return;
        }
        let row = self.rows.open(event, host, line, offset, group.first_row);
        if group.rows == 1 {
            let first = self.rows.rows[group.first_row as usize].key();
            self.crowds.insert((address, ahead, first), group.first_row);
        }
        if group.rows > 0 {
            self.crowds.insert((address, ahead, key), row);
        }
        (group.first_row, group.rows) = (row, group.rows + 1);
    }

    /// The rows so far; the next event begins anew.
    pub(crate) fn take(&mut self) -> Rows {
        self.groups.iter_mut().for_each(HashMap::clear);
        self.crowds.clear();
        self.host_numbers.clear();
        self.last_host = NONE;
        std::mem::take(&mut self.rows)
    }

    fn host(&mut self, bytes: &[u8]) -> u32 {
        if self.rows.hosts.get(self.last_host as usize).is_some_and(|last| last == bytes) {
            return self.last_host;
        }
        let host = text(bytes);
        let hosts = &mut self.rows.hosts;
        let number = *self.host_numbers.entry_ref(&host[..]).or_insert_with(|| {
            hosts.push(host.to_vec());
            hosts.len() as u32 - 1
        });
        self.last_host = number;
        number
    }
}
