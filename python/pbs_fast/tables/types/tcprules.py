"""`tcprules:`, the rules of tcpserver: the administrator's and ours in one cdb file, compiled by the program tcprules.

`tcprules:/etc/tcp.smtp` means the rules that the administrator keeps in /etc/tcp.smtp (local networks; another file
with the option `rules`) and the file /etc/tcp.smtp.cdb that `tcpserver -x` reads for each connection.

Invariants
- The file always holds the complete policy: the administrator's rules first, unchanged, so that they override ours for
  the same address, then MARK, then ours. All rules after MARK are ours and no others; tcpserver never looks MARK up.
- A line that tcprules silently ignores (0.88) or loops on for ever (its build for IPv6) is refused with its number.
- The administrator's file is read at each change, and each heartbeat checks whether it has changed.

If the program supports IPv6, each IPv4 address gets a second rule in the spelling of a dual-stack socket
(`::ffff:192.0.2.1`); if not, IPv6 addresses get no rule, which costs nothing: its tcpserver does not serve them.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.base import EngineError
from pbs_fast.tables.file.command import run, time_limit
from pbs_fast.tables.file.states import FileState, identity_of
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.cdb import CdbTable
from pbs_fast.util.admin_files import read_admin_file

log = logging.getLogger(__name__)

VALUE = 'allow,RELAYCLIENT=""'
#: The rule between the administrator's and ours: for an IDENT answer that no connection has.
MARK = b"pbs-fast@"
_MAPPED = "::ffff:"

#: A valid line. Others are dropped by tcprules 0.88, and its build for IPv6 loops for ever on them (both tried).
_RULE = re.compile(rb"[^\0]*?:(?:allow|deny)(?:,[^\0]*)?")
#: Any character may quote a text. Here it is the first of these that the text does not hold, so that values read back
#: equal those written.
QUOTES = '"/|%!'
_VARIABLE = re.compile(r",([A-Za-z_][A-Za-z0-9_]*)=(.)((?:(?!\2).)*)\2")


class TcprulesTable(CdbTable):
    """Compiled and renamed at each change: 0.4 s for 100 000 addresses, each in both its forms."""

    commas = True
    by_path = True

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        """As FileTable. Raises UsageError for a bad value or limit, TableError if there is no tcprules."""
        if spec.path is None:
            raise TypeError(f"{spec} has no path")
        self._limit = time_limit(spec)
        self._rules = Path(spec.option("rules") or spec.path)
        self._has_rules = False
        """Whether the compiled file has rules of the administrator's; then a missing text is an error."""
        if not self._rules.is_absolute():
            raise UsageError(f"table {spec}: rules={self._rules}: needs the absolute path of a file")
        value = canonical(spec.option("value", VALUE))
        if value is None:
            raise UsageError(f"table {spec}: value={spec.option('value')}: needs the form {VALUE}, without {{user}}")
        found = shutil.which(spec.option("program", "tcprules"))
        if found is None:
            raise TableError(
                f"{spec}: there is no program {spec.option('program', 'tcprules')}; install ucspi-tcp (Debian: "
                f"ucspi-tcp-ipv6), or name it with program="
            )
        self._program = found
        self._supports_ipv6: bool | None = None
        """None until it was tried."""
        self._warned_of_ipv6 = False
        self._read: tuple[int, int, int, int] | None = None
        """The administrator's file as the last build read it."""
        super().__init__(spec, replace(options, value=value), lock)

    def heartbeat(self) -> None:
        if self._state is FileState.CURRENT and identity_of(self._rules) != self._read:
            log.info("%s has changed; compiling it into %s", self._rules, self._file)
            self._replace()
        super().heartbeat()

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        """The rows after MARK; all rows of a file without it."""
        found = super().pairs(file, wait=wait, flock=flock)
        at = next((number for number, (key, _) in enumerate(found, 1) if key == MARK), 0)
        rows = []
        for key, data in found[at:]:
            text = instructions(data)
            if text is None:
                raise TableError(f"{file} is a cdb file, but not from tcprules; move it away or give another table")
            if not (at and key.startswith(_MAPPED.encode())):
                rows.append((key, text))
        return rows

    def _read_rows(self, wait: float) -> dict[str, bytes]:
        there = CdbTable.pairs(self._file, wait=0)
        at = next((number for number, (key, _) in enumerate(there) if key == MARK), None)
        if at is None and set(there) <= set(self._compiled()):
            return {}  # compiled by the administrator from that file
        self._has_rules = bool(at)
        return super()._read_rows(wait)

    @property
    def _alternative(self) -> str:
        return f"put rules of your own into {self._rules}"

    def _compiled(self) -> list[tuple[bytes, bytes]]:
        """The administrator's rules without ours."""
        target = self._file.with_name(self._file.name + ".own")
        try:
            self._compile(target, self._text())
            return CdbTable.pairs(target, wait=0)
        finally:
            target.unlink(missing_ok=True)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        before = identity_of(self._rules)
        lines = [self._text(), MARK, b":allow\n"]
        left_out = 0
        ipv6 = self._has_ipv6(target)
        for ip, value in rows.items():
            if ":" not in ip or ipv6:
                lines += (ip.encode(), b":", value, b"\n")
                if ipv6 and ":" not in ip:
                    lines += (_MAPPED.encode(), ip.encode(), b":", value, b"\n")
            else:
                left_out += 1
        self._compile(target, b"".join(lines))
        self._read = before
        if left_out and not self._warned_of_ipv6:
            log.warning(
                "%s: %s does not support IPv6, so %d IPv6 addresses get no rule; install ucspi-tcp-ipv6 (Debian)",
                self._file,
                self._program,
                left_out,
            )
            self._warned_of_ipv6 = True

    def _has_ipv6(self, target: Path) -> bool:
        """Whether this tcprules accepts IPv6 addresses; tried once."""
        if self._supports_ipv6 is None:
            try:
                self._compile(target, b"2001:db8::1:allow\n")
                self._supports_ipv6 = b"2001:db8::1" in dict(CdbTable.pairs(target, wait=0))
            except EngineError:
                self._supports_ipv6 = False
            finally:
                target.unlink(missing_ok=True)
        return self._supports_ipv6

    def _compile(self, target: Path, text: bytes) -> None:
        """Run tcprules, which writes another file and renames it; EngineError with its message if it fails."""
        draft = target.with_name(target.name + ".new")
        # One whose daemon was killed may still be running: without a name for its file, its rename or ours fails.
        draft.unlink(missing_ok=True)
        try:
            run(
                [self._program, os.fspath(target), os.fspath(draft)],
                table=self._spec,
                limit=self._limit,
                text=text,
            )
        except TableError as error:
            draft.unlink(missing_ok=True)
            raise EngineError(str(error).removeprefix(f"{self._spec}: ")) from error

    def _text(self) -> bytes:
        """The administrator's rules, each line checked. Raises a TableError that names the line."""
        try:
            content = read_admin_file(self._rules)
        except FileNotFoundError:
            if not (self._parsed.option("rules") or self._has_rules):
                return b""
            raise TableError(
                f"{self._spec}: there is no {self._rules} with your own rules; create it, empty if you have none, or "
                f"name it with rules="
            ) from None
        except OSError as error:
            raise TableError(os_error("cannot read", self._rules, error)) from error
        lines = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            if line and not line.startswith(b"#") and not _RULE.fullmatch(line):
                raise TableError(
                    f"{self._rules}:{number}: {line[:60].decode('latin-1')!a} is not a rule for tcprules; write "
                    f"ADDRESS:allow or ADDRESS:deny"
                )
        self._has_rules = bool(content)
        return content if not lines[-1] else content + b"\n"


def canonical(value: str) -> str | None:
    """`allow,NAME="text",…` with each text quoted uniformly; None for any other instruction.

    {user} is not allowed: users could choose a name that ends the quotes.
    """
    if not value.startswith("allow") or "{user}" in value:
        return None
    at, text = len("allow"), "allow"
    while at < len(value):
        found = _VARIABLE.match(value, at)
        quoted = None if found is None else _quoted(found[1], found[3])
        if found is None or quoted is None:
            return None
        text += quoted
        at = found.end()
    return text


def instructions(data: bytes) -> bytes | None:
    """A record of the cdb file in the form of a line; None if tcprules cannot have written it.

    A record has `+NAME=text` and a NUL for each variable, after `D` and a NUL for `deny`.
    """
    if data and not data.endswith(b"\0"):
        return None
    words = data.decode("latin-1").split("\0")[:-1]
    text = "deny" if words[:1] == ["D"] else "allow"
    for word in words[text == "deny" :]:
        name, equals, value = word.partition("=")
        quoted = _quoted(name[1:], value) if name.startswith("+") and equals else None
        if quoted is None:
            return None
        text += quoted
    return text.encode("latin-1")


def _quoted(name: str, text: str) -> str | None:
    quote = next((each for each in QUOTES if each not in text), None)
    return None if quote is None else f",{name}={quote}{text}{quote}"
