"""What the logging daemons of Debian make of bytes that a stranger chose, and what pbs-fast reads of it then.

`DAEMONS` are the configurations, by default those of the packages; `observe` runs one of them and gives a row of the
table in SECURITY.md, which test_log_daemons.py holds. As a program, with the repository's Python and as root, it
prints that table:

    cd tests && ../.venv/bin/python -m servers.log_daemons
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mta import wait_for
from servers.log_hosts import HOST, SUITES, UNPACKED, LogHost, log_host

DGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM
#: Bytes that a message holds between two markers.
BYTES = {"LF": b"\n", "CR": b"\r", "NUL": b"\0", "ESC": b"\x1b"}
#: By what a forged record begins in a name -> the address that it claims. The first three stand in a file as they are,
#: the others are a datagram within the datagram.
FORGED = {
    "LF": "192.0.2.61",
    "CR": "192.0.2.62",
    "NUL": "192.0.2.63",
    "LF and a priority": "192.0.2.64",
    "NUL and a priority": "192.0.2.65",
}
LONG = 70_000
#: What is logged last; everything is in the file when it is.
_LAST = b"that is all"
_JOURNAL = "/run/systemd/journal/dev-log"


class Row(NamedTuple):
    """What one daemon does, in the words of the table."""

    lf: str
    cr: str
    nul: str
    esc: str
    longest: str
    forged: str


@dataclass(frozen=True)
class Daemon:
    """One configuration of one daemon."""

    name: str
    """As the table has it."""
    package: str
    command: Sequence[str]
    feeds: tuple[str, ...] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Configuration instead of the package's."""
    log: str = "/var/log/mail.log"
    """The file, or "journal"."""
    kind: socket.SocketKind = DGRAM
    journald: bool = False
    """/dev/log is journald's, as where systemd runs."""


def _syslog_ng(source: str, destination: str = 'file("/var/log/mail.log")') -> dict[str, str]:
    # The version is that of Debian 12, which later ones understand.
    text = f"""@version: 3.38
@include "scl.conf"
source s_src {{ {source}; }};
destination d_mail {{ {destination}; }};
log {{ source(s_src); destination(d_mail); }};
"""
    return {"/etc/syslog-ng/syslog-ng.conf": text}


_NG = ("syslog-ng", "-F", "--no-caps")
_RSYSLOG = ("rsyslogd", "-n", "-iNONE")
_ON_SOCKET = ("systemd-socket-activate", "--datagram", "-l", "/run/systemd/journal/syslog")
_ONE_LINE = 'file("/var/log/mail.log" flags(no-multi-line))'

DAEMONS = (
    Daemon("rsyslog", "rsyslog", _RSYSLOG),
    Daemon(
        "rsyslog behind journald (`ForwardToSyslog=yes`)",
        "rsyslog",
        (*_ON_SOCKET, *_RSYSLOG),
        files={"/etc/systemd/journald.conf.d/forward.conf": "[Journal]\nForwardToSyslog=yes\n"},
        journald=True,
    ),
    Daemon(
        "rsyslog, `$EscapeControlCharactersOnReceive off`",
        "rsyslog",
        _RSYSLOG,
        files={"/etc/rsyslog.d/raw.conf": "$EscapeControlCharactersOnReceive off\n"},
    ),
    Daemon("syslog-ng", "syslog-ng-core", _NG),
    Daemon("syslog-ng where systemd runs", "syslog-ng-core", _NG, journald=True),
    Daemon("syslog-ng, `unix-dgram()`", "syslog-ng-core", _NG, files=_syslog_ng('unix-dgram("/dev/log")')),
    Daemon(
        "syslog-ng, `unix-dgram(flags(no-multi-line))`",
        "syslog-ng-core",
        _NG,
        files=_syslog_ng('unix-dgram("/dev/log" flags(no-multi-line))'),
    ),
    Daemon(
        "syslog-ng, `system(flags(no-multi-line))`",
        "syslog-ng-core",
        _NG,
        files=_syslog_ng("system(flags(no-multi-line))"),
    ),
    Daemon(
        "syslog-ng, `system()` and `file(flags(no-multi-line))`",
        "syslog-ng-core",
        _NG,
        files=_syslog_ng("system()", _ONE_LINE),
    ),
    Daemon(
        "the same where systemd runs",
        "syslog-ng-core",
        _NG,
        files=_syslog_ng("system()", _ONE_LINE),
        journald=True,
    ),
    Daemon(
        "syslog-ng, `unix-stream()` and `file(flags(no-multi-line))`",
        "syslog-ng-core",
        _NG,
        files=_syslog_ng('unix-stream("/dev/log" flags(no-multi-line))', _ONE_LINE),
        kind=STREAM,
    ),
    Daemon("inetutils-syslogd", "inetutils-syslogd", ("syslogd", "--no-detach", "--no-forward")),
    Daemon(
        "BusyBox, `syslogd -O FILE` (its default keeps no file)",
        "busybox",
        ("busybox", "syslogd", "-n", "-O", "/var/log/mail.log"),
        files={"/etc/syslog.conf": ""},
    ),
    Daemon(
        "socklog and svlogd",
        "socklog-run",
        ("socklog", "unix", "/dev/log"),
        feeds=("svlogd", "-tt", "/var/log/mail"),
        files={"/var/log/mail/config": "-*\n+mail.*\n"},
        log="/var/log/mail/current",
    ),
    Daemon("journald, read as `journal:`", "systemd", (), log="journal", journald=True),
)


def version(suite: str, package: str) -> str:
    """The upstream version of a package that was unpacked, such as 8.2302.0."""
    for line in (UNPACKED / suite / ".complete").read_text().splitlines():
        name, number = line.split(" ")
        if name == package:
            return re.sub(r"^[0-9]+:|[-+~].*$", "", number)
    raise AssertionError(f"{suite} has no {package}")


def observe(daemon: Daemon, suite: str) -> Row:
    """Run it on a machine of that suite, log what a stranger chose, read the log."""
    with log_host(suite) as host:
        host.write(daemon.files)
        if daemon.journald:
            host.write({"/run/systemd/system/.here": ""})
            host.start("/usr/lib/systemd/systemd-journald")
            host.wait_for_socket(_JOURNAL, DGRAM)
        if daemon.command:
            host.start(*daemon.command, feeds=daemon.feeds)
        name = _JOURNAL if daemon.journald else "/dev/log"
        host.wait_for_socket(name, daemon.kind)
        log = _read(daemon, host)
        log_all(host, name, daemon.kind, _messages(), log)
        found = log()
    made = [_made(found, name) for name in BYTES]
    assert not _believed(found), "pbs-fast believes a login behind a raw name"
    return Row(*made, longest=_longest(found), forged=_forged(found))


def log_all(
    host: LogHost, name: str, kind: socket.SocketKind, messages: Sequence[bytes], log: Callable[[], bytes]
) -> None:
    """Send these to the daemon at that socket as soon as it logs; they are in its log afterwards."""
    end = b"\0" if kind == STREAM else b""

    def hears() -> bool:
        host.send(name, kind, [message(b"probe: do you hear") + end])
        with suppress(AssertionError):
            return bool(wait_for("a line", lambda: b"do you hear" in log(), seconds=0.5))
        return False

    try:
        wait_for("the daemon to log", hears)
        host.send(name, kind, [each + end for each in (*messages, message(b"probe: " + _LAST))])
        wait_for("its last line", lambda: _LAST in log())
    except AssertionError as error:
        raise AssertionError(f"{error}\n{host.said()}\n{log()[-500:]!r}") from None


def journaled(suite: str, texts: Sequence[bytes]) -> list[bytes]:
    """The lines that are read of these messages once that suite's journald has them."""
    (daemon,) = (each for each in DAEMONS if each.log == "journal")
    with log_host(suite) as host:
        host.write({"/run/systemd/system/.here": ""})
        host.start("/usr/lib/systemd/systemd-journald")
        host.wait_for_socket(_JOURNAL, DGRAM)
        log = _read(daemon, host)
        host.send(_JOURNAL, DGRAM, [message(text) for text in (*texts, b"probe: " + _LAST)])
        wait_for("journald", lambda: _LAST in log(), seconds=20)
        return log().splitlines()


def _timestamp() -> bytes:
    return time.strftime("%b %e %H:%M:%S", time.gmtime()).encode()


def message(text: bytes) -> bytes:
    """As syslog(3) sends it, for the facility mail."""
    return b"<22>%s %s" % (_timestamp(), text)


def _login(ip: str) -> bytes:
    return (
        b"dovecot: imap-login: Login: user=<x>, method=PLAIN, rip=%s, lip=192.0.2.10, mpid=71, TLS, "
        b"session=<9mVjWnQ7pQDLAHEF>" % ip.encode()
    )


def _messages() -> list[bytes]:
    made = [message(b"probe: %s<%s>%s" % (name.encode(), byte, name.encode())) for name, byte in BYTES.items()]
    for how, ip in FORGED.items():
        byte = BYTES[how.split(" ")[0]]
        head = b"<22>%s " % _timestamp() if "priority" in how else b"%s %s " % (_timestamp(), HOST.encode())
        # A refused name that closes with a header of its own what the server writes behind it.
        name = b"x%s%s%s%s%stail: " % (byte, head, _login(ip), byte, head)
        refused = b'nginx: 2026/11/30 08:00:00 [info] 7#7: *9 client login failed: "no" while in http auth state, '
        made.append(message(b'%sclient: 203.0.113.9, server: 0.0.0.0:143, login: "%s"' % (refused, name)))
    made.append(message(b"probe: long<%s>end" % (b"x" * LONG)))
    return made


def _read(daemon: Daemon, host: LogHost) -> Callable[[], bytes]:
    def of_file() -> bytes:
        file = host.root / daemon.log.lstrip("/")
        return file.read_bytes() if file.exists() else b""

    def of_journal() -> bytes:
        # Only here, so that the machines themselves are known without the package.
        from pbs_fast.sources.journal.export import ExportParser
        from pbs_fast.sources.journal.render import FIELDS, Renderer

        exported = host.run("journalctl", "--output=export", "--no-pager", "--quiet", "--directory=/run/log/journal")
        render = Renderer().render
        lines = [render(entry) for entry in ExportParser(FIELDS).feed(exported)]
        return b"".join(line for line in lines if isinstance(line, bytes))

    return of_journal if daemon.log == "journal" else of_file


def _made(log: bytes, name: str) -> str:
    """What became of a byte, `raw`, `ends` (the rest is lost), `new record`, or what replaces it."""
    marker = name.encode()
    found = re.search(rb"%s<(.*?)>%s" % (marker, marker), log, re.DOTALL)
    if found is None:
        assert marker + b"<" in log, f"no message with {name}: {log!r}"
        return "ends"
    text = found[1]
    if text == BYTES[name]:
        return "raw"
    if b"\n" in text:
        return "new record"
    return "blank" if text == b" " else f"`{text.decode('ascii')}`"


def _longest(log: bytes) -> str:
    """How much of a long message is kept, in KiB, and where the rest is."""
    runs = [len(each) for each in re.findall(rb"x{100,}", log)]
    if not runs:
        return "none of it"
    if sum(runs) == LONG:
        return "all" if len(runs) == 1 else f"{-(-runs[0] // 1024)} KiB, then a new record"
    return f"{-(-runs[0] // 1024)} KiB"


def _forged(log: bytes) -> str:
    """By which bytes a stranger's record was read as a login, by `pbs-fast match` with either backend."""
    with tempfile.NamedTemporaryFile(suffix=".log") as file:
        file.write(log)
        file.flush()
        events = {core: matched(core, file.name) for core in ("rust", "python")}
    read = {core: {each["ip"] for each in found if each["event"] == "login"} for core, found in events.items()}
    assert read["rust"] == read["python"]
    assert read["rust"] <= set(FORGED.values())
    return ", ".join(how for how, ip in FORGED.items() if ip in read["rust"]) or "no"


def _believed(log: bytes) -> list[str]:
    """The logins that count where the file is known to be one in which strangers can write lines."""
    from pbs_fast.formats.loader import load_catalogue
    from pbs_fast.matching import load_backend
    from pbs_fast.matching.distrust import Distrust
    from pbs_fast.matching.reader import Reader
    from pbs_fast.matching.zones import zone_table

    formats = load_catalogue()
    found = []
    for name in ("rust", "python"):
        core = load_backend(name)
        distrust = Distrust([tag for each in formats for tag in each.raw_names])
        matcher = core.Matcher(formats, zone_table("UTC"))
        reader = Reader(core, matcher, source="", gap=0, live=True, fold=False, distrust=distrust)
        reader.feed(log, 0, len(log), offset=0, reference=int(time.time()))
        found += reader.take().ip
    return found


def matched(core: str, *files: str | Path) -> list[dict[str, Any]]:
    """What `pbs-fast match --json` prints of files."""
    command = [sys.executable, "-m", "pbs_fast", "match", "--json", f"--core={core}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 3), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def table() -> list[str]:
    """The lines of the table: one for each daemon, two where the suites differ."""
    lines = ["| logging daemon | version | LF | CR | NUL | ESC | longest | forged login read |", "|" + "---|" * 8]
    for daemon in DAEMONS:
        rows: dict[Row, list[str]] = {}
        for suite in SUITES:
            rows.setdefault(observe(daemon, suite), []).append(version(suite, daemon.package))
        lines += [
            f"| {daemon.name} | {', '.join(dict.fromkeys(versions))} | {' | '.join(row)} |"
            for row, versions in rows.items()
        ]
    return lines


def written(page: Path) -> dict[tuple[str, str], Row]:
    """The rows of SECURITY.md, by name and version."""
    found = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 8 and cells[0] in {daemon.name for daemon in DAEMONS}:
            for each in cells[1].split(", "):
                found[cells[0], each] = Row(*cells[2:])
    return found


if __name__ == "__main__":
    print("\n".join(table()))
