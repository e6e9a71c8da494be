"""The catalogue: one TOML file per server in `data/`, loaded into `Format`s that both backends compile.

docs/FORMAT-FILES.md describes the keys of the files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """One server's formats, placeholders expanded; patterns are ASCII regular expressions for whole messages."""

    name: str
    title: str
    versions: str
    program: tuple[str, ...]
    tls_program: tuple[str, ...]
    success: tuple[str, ...]
    login: tuple[str, ...]
    logout: tuple[str, ...]
    cut: int = 0
    """Length in bytes from which a record is taken as cut by its writer; 0: that of any writer (docs/MATCHING.md)."""
    cut_rest: int = 0
    """Length in bytes from which the record after a cut one may be its rest; 0 or less than `cut`: from that on."""
    cut_prefix: tuple[str, ...] = ()
    """Texts that the writer repeats before each part of a record; `cut` is then for messages that start with one."""
    cut_whole: tuple[int, ...] = ()
    """Lengths in bytes at which a message begins, and ceases, to be a whole part of a cut record, in turn."""
    marked: tuple[int, ...] = ()
    """Numbers, from 1, of the login patterns that no refused login can end like, and that only newer servers write."""
    unmarked: tuple[int, ...] = ()
    """Numbers of those that the end of a refused login may look like; refused once the writer wrote a marked one."""
    counted: bool = True
    """Whether its sessions may be counted: false where their ends are written at a site's wish only."""
    raw_names: tuple[str, ...] = ()
    """Its tags under which user names are logged unescaped, line feeds included; not for the backends."""
    own_prefix: tuple[str, ...] = ()
    """Texts that may precede the timestamp in the server's own log file."""
    own_probe: str | None = None
    """What the message of a line of the server's own log starts with; None when it has no such file."""
    own_in_syslog: bool = False
    """Whether a line of its own log, header included, may be the message of a syslog line with one of its tags."""
    session_address: tuple[str, ...] = ()
    """Line with the address of a login that takes several lines, which are joined by host, tag and pid."""
    session_success: tuple[str, ...] = ()
    """Line with such a login's success."""
    session_failure: tuple[str, ...] = ()
    """Line of a refused one."""
    session_end: tuple[str, ...] = ()
    """End of such a session."""
    restart: tuple[str, ...] = ()
    """The server starts or stops: all its sessions are over, though no logouts are written."""
    killed: tuple[str, ...] = ()
    """A process of the server, that of group `pid` or the line's own, ended, and with it the sessions it served."""
    aborted: tuple[str, ...] = ()
    """The login that user `user` has just made came to nothing, and no logout follows."""
    line_login: tuple[str, ...] = ()
    """Patterns searched in whole lines, envelope included, with a group `timestamp`; only in custom formats."""
    line_logout: tuple[str, ...] = ()
    packaged: bool = False
    """Whether it comes with the package, whose tests prove its patterns: a start need not do so again. Probes are not
    among these."""
