"""The configuration as frozen dataclasses: each field is one key, with its default, its Kind and a line of help.

`Config()` is what runs with no file and no option. Everything else (reading, merging, showing, the options of the
command line) iterates over these fields, so each key is defined once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeVar

from pbs_fast.caps.limits import ACTIONS
from pbs_fast.config import kinds
from pbs_fast.config.kinds import Kind

T = TypeVar("T")

#: Read when it exists and `--config` names no other.
DEFAULT_FILE = "/etc/pbs-fast/pbs-fast.toml"

_DAY = 86_400
#: Longest `grace` and `max_session`, in seconds. Beyond a month a grant belongs in mynetworks, and a typing error is
#: more likely than intended.
LONGEST = 30 * _DAY


def _key(default: T, kind: Kind, doc: str) -> T:
    result: T = field(default=default, metadata={"kind": kind, "doc": doc})
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """`[guards]`: which grants are refused, and the limits. A switch set to false turns its guard off."""

    unspecified: bool = _key(True, kinds.switch(), "refuse 0.0.0.0/8 and ::")
    loopback: bool = _key(True, kinds.switch(), "refuse 127.0.0.0/8 and ::1")
    link_local: bool = _key(True, kinds.switch(), "refuse 169.254.0.0/16 and fe80::/10")
    multicast: bool = _key(True, kinds.switch(), "refuse multicast and broadcast addresses")
    ipv4_compatible: bool = _key(True, kinds.switch(), "refuse ::/96, which MTAs write in two ways")
    own: bool = _key(True, kinds.switch(), "refuse this machine's own addresses")
    gateway: bool = _key(True, kinds.switch(), "refuse this machine's default gateways")
    loop: bool = _key(True, kinds.switch(), "refuse a login whose remote and local address are the same")
    proxies: tuple[str, ...] = _key(
        (),
        kinds.networks('a list of addresses or networks, such as ["192.0.2.7", "2001:db8::/64"]'),
        "refuse these addresses: mail proxies and web mail hosts, which many users share",
    )
    hosts: tuple[str, ...] = _key((), kinds.hosts(), "accept only lines with one of these host names; empty: any host")
    max_rows: int = _key(1_000_000, kinds.whole(1, 100_000_000), "no new grants while the table holds this many rows")
    max_new_per_minute: int = _key(10_000, kinds.whole(1, 100_000_000), "maximum number of new grants in a minute")
    max_users_per_address: int = _key(
        30,
        kinds.whole(1, 10_000),
        "warn if more users log in from one address within an hour; refuse the address if it is private",
    )
    max_addresses_per_user: int = _key(
        20, kinds.whole(1, 10_000), "warn if a user logs in from more addresses within an hour"
    )
    refuse_many_addresses: bool = _key(
        False, kinds.switch(), "refuse the addresses of a user beyond max_addresses_per_user"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonKeys:
    """`[json]`: where a record of JSON lines has what a line is made of, if it has an unusual shape."""

    message: str | None = _key(None, kinds.text(), "JSON lines: key of the message; a.b is the key b within a")
    timestamp: str | None = _key(
        None, kinds.text(), "JSON lines: key of the timestamp: ISO 8601, as in syslog, or a number since 1970"
    )
    program: str | None = _key(
        None, kinds.text(), "JSON lines: key of the program; not set: the message is a whole line with its own header"
    )
    host: str | None = _key(None, kinds.text(), "JSON lines: key of the host")
    pid: str | None = _key(None, kinds.text(), "JSON lines: key of the process id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """`[control]`: the sockets by which the commands `status`, `why`, `revoke`, … reach the running daemon."""

    directory: str = _key(
        "/run/pbs-fast",
        kinds.text(),
        "directory of the sockets control and status; each daemon of a machine needs its own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """`[metrics]`: numbers for Prometheus (docs/MONITORING.md). Both ways out are off by default."""

    file: str | None = _key(
        None, kinds.prom_file(), "metrics for node_exporter's textfile collector, written every 15 s; ends in .prom"
    )
    listen: str | None = _key(
        None, kinds.listener(), "ADDRESS:PORT where Prometheus may fetch the metrics; there is no default port"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`[share]`: grants shared with other nodes over Valkey or Redis (docs/SHARING.md). Off without `hubs`."""

    hubs: tuple[str, ...] = _key(
        (), kinds.hubs(), "servers over which nodes share grants; one is enough, a second works independently of it"
    )
    site: str = _key(
        "default", kinds.word(), "name of the site, the same on all its nodes; several sites may use one hub"
    )
    node: str | None = _key(None, kinds.word(), "name of this node, different on each; not set: the host's name")
    publish: bool = _key(True, kinds.switch(), "send the grants of our own logs to the other nodes")
    from_: tuple[str, ...] = _key((), kinds.nodes(), 'nodes whose grants are accepted; "*": all that know the secret')
    longest: int = _key(3600, kinds.seconds(1, LONGEST), "no grant of another node lasts longer than this")
    secret: str = _key(
        "share.secret",
        kinds.text(),
        "systemd credential, or file of mode 0600, with the secret of the site; hub.password next to it",
    )
    ca: str | None = _key(
        None, kinds.text(), "file with certificates of the hubs' authority; not set: those of the system"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CapException:
    """One `[[caps.except]]`: who has caps of their own."""

    users: tuple[str, ...] = _key((), kinds.specs("a list of login names"), "logins")
    networks: tuple[str, ...] = _key((), kinds.networks("a list of addresses or networks"), "addresses and networks")
    user: tuple[str, ...] | None = _key(None, kinds.rates(), "caps of a login, in place of caps.user; [] for none")
    address: tuple[str, ...] | None = _key(
        None, kinds.rates(), "caps of an address, in place of caps.address; [] for none"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """`[caps]`: how much a login and an address may send through a table `policy:` (docs/CAPS.md). Off by default."""

    user: tuple[str, ...] = _key(
        (), kinds.rates(), "most recipients (or messages) of a login; needs a table policy:, see docs/CAPS.md"
    )
    address: tuple[str, ...] = _key((), kinds.rates(), "most recipients (or messages) of an address")
    action: Literal["defer", "warn", "hold"] = _key(
        "defer",
        kinds.choice(*ACTIONS),
        "over a cap: defer, only warn, or hold the message in Postfix's queue",
    )
    revoke_after: int = _key(
        0,
        kinds.whole(0, 1_000),
        "revoke a login for an hour if this many times its cap in recipients were refused within an hour; 0: never",
    )
    exceptions: tuple[CapException, ...] = ()
    """The `[[caps.except]]`, of which the first that fits a login or an address decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatKeys:
    """`[formats.NAME]`: what this site adds to a format of the catalogue."""

    program: tuple[str, ...] = _key((), kinds.tags(), "further syslog tags of this server")
    unmarked: bool = _key(
        True,
        kinds.switch(),
        "courier-pop3, courier-tcpd: accept POP3 logins without protocol=POP3 from servers that never write it",
    )


@dataclass(frozen=True, slots=True)
class OwnFormat:
    """One `[[format]]`: its keys as written, which `pbs_fast.formats.custom` reads, and the line of each."""

    keys: Mapping[str, object]
    file: str
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, compare=False)
    """The path to a key of `keys` -> its line (from 1); the empty path is the table itself."""

    def where(self, key: str = "", within: str = "") -> str:
        """`FILE:LINE` of a key, by default of the table; `within` names the table in it that the key is in."""
        path = tuple(part for part in (within, key) if part)
        ways: tuple[tuple[str | int, ...], ...] = (path, (*path, 0), path[:-1], ())
        line = next((self.lines[way] for way in ways if way in self.lines), None)
        return f"{self.file}:{line}" if line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration in force. Paths and specs are as written; None is *not set*."""

    write: bool = _key(True, kinds.switch(), "write the tables; with --nowrite nothing is opened or changed (dry run)")
    debug: bool = _key(False, kinds.switch(), "log to standard output, and log why addresses were ignored or refused")
    flock: bool = _key(True, kinds.switch(), "lock hash: and btree: tables during changes")
    reprocess: bool = _key(
        False, kinds.switch(), "read the log from its beginning, using each line's timestamp as the current time"
    )
    once: bool = _key(False, kinds.switch(), "with reprocess: exit at the end of the log")
    watchlog: tuple[str, ...] = _key(
        (), kinds.specs("a log or a list of logs"), "log to follow; may be given more than once"
    )
    dbfile: str = _key("/var/lib/pbs-fast/relay", kinds.text(), "table to write, as PATH or TYPE:PATH")
    table: tuple[str, ...] = _key(
        (), kinds.specs("a table TYPE:PATH or a list of tables"), "additional table to write, as TYPE:PATH"
    )
    logto: str | None = _key(None, kinds.text(), "where pbs-fast logs: a file, - (standard output), syslog or journal")
    grace: int = _key(1800, kinds.seconds(1, LONGEST), "how long an address may relay after its last login")
    daemon: str | None = _key(
        None,
        kinds.text(),
        "run in the background and write the process id to this file; "
        "warnings go to syslog unless logto names a file or the journal",
    )
    core: Literal["auto", "rust", "python"] = _key(
        "auto", kinds.choice("auto", "rust", "python"), "backend that reads the log"
    )
    user: str | None = _key(
        None,
        kinds.text(),
        "account to run as if started by root; by default the one that controls the tables' directory",
    )
    value: str = _key("ok", kinds.table_value(), "value of each row; may contain {user} and {expires}")
    log_timezone: str | None = _key(None, kinds.zone(), "time zone of timestamps without one; not set: local time")
    logtime: str | None = _key(
        None,
        kinds.text(),
        "format of unusual timestamps at the start of lines: a strptime format or a regular expression",
    )
    raw_line_feeds: Literal["refuse", "accept"] = _key(
        "refuse",
        kinds.choice("refuse", "accept"),
        "what to do with logins in a file where strangers can forge them, because the logging daemon writes line feeds "
        "and a server logs user names unescaped",
    )
    catalogue: bool | tuple[str, ...] = _key(
        True,
        kinds.switch_or_names(),
        "read the servers of the catalogue: all, a list of them, or none, as to block addresses",
    )
    mynetworks: tuple[str, ...] = _key(
        ("postfix",),
        kinds.specs('"postfix" or a list of addresses, networks and files'),
        'networks that may always relay and get no row; "postfix" asks postconf',
    )
    postconf: str = _key("postconf", kinds.text(), "command that prints Postfix's settings")
    adopt: bool = _key(False, kinds.switch(), "take over a table with rows that another program wrote")
    count_sessions: bool = _key(
        False, kinds.switch(), "keep an address while one of its sessions is open, and for grace after the last one"
    )
    max_session: int = _key(_DAY, kinds.seconds(60, LONGEST), "with count_sessions: maximum duration of a session")
    checkpoint: str = _key(
        "/var/lib/pbs-fast/sessions",
        kinds.text(),
        "with count_sessions: file that stores the open sessions over a restart",
    )
    state_directory: str = _key(
        "/var/lib/pbs-fast",
        kinds.text(),
        "directory of manual.json and caps.json: manual grants and denials, and what caps have counted, over a restart",
    )
    deny: str = _key("/etc/pbs-fast/deny.toml", kinds.text(), "file of addresses, networks and users to refuse")
    control: Control = field(default_factory=Control)
    metrics: Metrics = field(default_factory=Metrics)
    share: Share = field(default_factory=Share)
    guards: Guards = field(default_factory=Guards)
    caps: Caps = field(default_factory=Caps)
    json: JsonKeys = field(default_factory=JsonKeys)
    formats: Mapping[str, FormatKeys] = field(default_factory=lambda: MappingProxyType({}))
    format: tuple[OwnFormat, ...] = ()
    """The custom formats, `[[format]]`."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The specs of all tables: `dbfile`, then `table`."""
        return (self.dbfile, *self.table)

    @property
    def only_marked(self) -> frozenset[str]:
        """The formats whose `unmarked` logins are refused (`unmarked = false`)."""
        return frozenset(name for name, keys in self.formats.items() if not keys.unmarked)

    @property
    def program_tags(self) -> dict[str, tuple[str, ...]]:
        """Format name -> the syslog tags that this site adds to it."""
        return {name: keys.program for name, keys in self.formats.items() if keys.program}
