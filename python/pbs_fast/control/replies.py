"""The replies of version 1 as TypedDicts: what `ok` and `event` hold (docs/CONTROL.md).

Times are texts, RFC 3339 in UTC with milliseconds (`util.text.rfc3339`); durations are seconds, their keys end in `_s`.
Within version 1 keys are only ever added; a client passes over those that it does not know.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Origin = Literal["own", "hub", "recovered", "manual"]
"""Why a row exists: a login in our logs or in another node's, found in a table at the start, or an administrator."""
Whom = Literal["ip", "network", "user", "node"]
"""Whom a manual denial or grant is about."""
HubState = Literal["up", "down", "catching_up"]
LogState = Literal["following", "missing", "unreadable", "replaying", "ended"]


class Ping(TypedDict):
    """The answer to `ping`, given by the thread of the sockets: true even while the loop hangs."""

    version: str
    pid: int
    ready: bool
    turned_s: float
    """Seconds since the loop last turned. It turns at least every 30 s."""


class Row(TypedDict):
    """One address that may relay."""

    ip: str
    user: str | None
    since: str | None
    """The login, or the manual grant, on which `until` rests; None where nobody knows it."""
    until: str | None
    """None while a counted session is open."""
    format: str | None
    host: str | None
    node: str | None
    """None: this node's own."""
    origin: Origin
    by: NotRequired[str]
    """Of a manual grant: `uid=N`."""
    reason: NotRequired[str]
    """Of a manual grant."""


class Refusal(TypedDict):
    """One remembered refusal of a login."""

    at: str
    ip: str
    user: str | None
    host: str | None
    guard: str
    log: str
    logins: int
    """How many logins of this address and user the guard refused at once; in a replay more than 1."""


class Denial(TypedDict):
    """An address, a network or a user that gets no grant."""

    what: str
    until: str | None
    """None: until deny.toml changes."""
    by: str
    """`deny.toml`, or `uid=N`, or of another node `ACCOUNT@NODE`."""
    reason: str
    node: NotRequired[str]
    """The other node on which it was made, and can be undone."""


class Rows(TypedDict):
    """One page of `list`: at most 1,000 rows. Further pages follow as further replies with the same id."""

    rows: list[Row]
    more: bool


class Refusals(TypedDict):
    """One page of `refusals`, the newest first, as `Rows`."""

    refusals: list[Refusal]
    more: bool


class Watching(TypedDict):
    """The first reply to `watch`: events follow."""

    watching: list[str]
    """The kinds that will come."""


class EventBody(TypedDict):
    """What happened. Which keys are there depends on `kind`."""

    at: str
    kind: str
    level: NotRequired[str]
    text: NotRequired[str]
    """The line in the daemon's own log."""
    ip: NotRequired[str]
    user: NotRequired[str | None]
    host: NotRequired[str | None]
    format: NotRequired[str | None]
    until: NotRequired[str | None]
    guard: NotRequired[str]
    logins: NotRequired[int]
    why: NotRequired[str]
    log: NotRequired[str]
    table: NotRequired[str]
    cap: NotRequired[str]
    """Of `cap`, as are those that follow: `user 200/1h`."""
    count: NotRequired[int]
    refused: NotRequired[int]
    """Recipients refused within the hour."""
    revoked: NotRequired[bool]
    """The login is revoked for an hour."""
    messages: NotRequired[int]
    """Of the last hour, as far as they are remembered."""
    addresses: NotRequired[list[str]]
    queue_ids: NotRequired[list[str]]
    """The newest first, at most 100."""
    hub: NotRequired[str]
    node: NotRequired[str]
    """The other node that the row is from, or that is silent."""


class Event(EventBody):
    """What happened, for a watcher."""

    n: int
    """+1 for each event of this run of the daemon; a gap means that a kind was left out, or events were lost."""


class Metrics(TypedDict):
    """The answer to `metrics`, given by the thread of the sockets from what the loop counted up to 2 s ago."""

    text: str
    """Prometheus' text format (docs/MONITORING.md)."""


Undoable = Literal["denial", "grant"]


class Revoked(TypedDict):
    """The answer to `revoke`."""

    what: str
    kind: Whom
    revoked: int
    """Rows that were removed."""
    addresses: list[str]
    """Of those, at most 100."""
    until: str
    """When the denial ends."""
    messages: NotRequired[int]
    """Messages of this user within the last hour, where a table `policy:` sees them."""
    warning: NotRequired[str]
    """Why it does not survive a restart."""
    revocation: NotRequired[int]
    """Its number, where grants are shared: a node whose `confirmed` is at least as high has it in force."""


class Granted(TypedDict):
    """The answer to `grant`."""

    ip: str
    until: str
    """Later than asked for if a login had already granted more."""


class Undone(TypedDict):
    """The answer to `undo`."""

    what: str
    kind: Whom
    undone: list[Undoable]


class Forgotten(TypedDict):
    """The answer to `forget`."""

    node: str
    forgotten: bool
    """False: there was nothing to forget."""


class Reloaded(TypedDict):
    """The answer to `reload`."""

    reloaded: bool
    """False: an error, and the previous settings stay in force."""
    text: str
    """The line in the daemon's own log."""
    warnings: list[str]


class RowCounts(TypedDict):
    """Rows by origin, and their limits."""

    total: int
    own: int
    hub: int
    recovered: int
    manual: int
    limit: int
    new_last_minute: int
    new_limit: int


class Coverage(TypedDict):
    """Whether a log was read back to the beginning of the window when the daemon started."""

    complete: bool
    reason: str


class Log(TypedDict):
    """One followed log; counters since the start."""

    name: str
    state: LogState
    lines: int
    lines_per_s: float
    behind_bytes: int | None
    """None for what has no length: the journal, a FIFO, standard input."""
    last_line: str | None
    last_login: str | None
    logins: dict[str, int]
    missed: dict[str, int]
    faults: dict[str, int]
    drift: str | None
    coverage: Coverage


class Served(TypedDict):
    """A table that the daemon answers itself."""

    clients: int
    requests: int
    recipients_per_s: NotRequired[float | None]
    """Recipients that the MTA asked about, a second, in the last minute; None where it asks by address. An older daemon
    does not send it."""


class Table(TypedDict):
    """One table."""

    spec: str
    rows: int
    waiting: int
    last_write: str | None
    failing: str | None
    failing_s: float | None
    served: Served | None


class Hub(TypedDict):
    """One hub."""

    url: str
    state: HubState
    since: str
    reason: str | None
    delay_ms: float | None
    offset_s: float | None
    waiting: int
    refused: dict[str, int]


class Node(TypedDict):
    """One other node."""

    name: str
    trusted: bool
    heard: str | None
    rows: int
    version: str | None
    gaps: int
    silent: bool
    """Trusted, and not heard for 30 s."""
    confirmed: int
    """The highest number of our revocations that it has in force; 0: none."""
    grace: int | None
    """Its `grace` in seconds; None until it was heard."""


class Caps(TypedDict):
    """Who is over a cap."""

    users_over: int
    """Logins that were over one within the last hour, and addresses."""
    addresses_over: int
    exceeded: dict[str, int]
    """Cap (`user 200/1h`) -> recipients that were over it since the start."""


class StandingNotice(TypedDict):
    """Trouble that lasts."""

    code: str
    text: str
    since: str


class Status(TypedDict):
    """The answer to `status`."""

    v: int
    version: str
    pid: int
    started: str
    now: str
    ready: bool
    turned_s: float
    core: str
    node: str | None
    rows: RowCounts
    sessions_open: int | None
    """None where sessions are not counted."""
    logs: list[Log]
    tables: list[Table]
    hubs: list[Hub]
    nodes: list[Node]
    caps: Caps | None
    denials: list[Denial]
    """Manual ones first, then those of deny.toml; at most 1,000."""
    logins: int
    """Logins recognised since the start: the sum of `outcomes`, of which `refused` is the sum of the guards."""
    outcomes: dict[str, int]
    refused: dict[str, int]
    notices: list[StandingNotice]
