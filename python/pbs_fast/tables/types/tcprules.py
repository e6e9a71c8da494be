"""`tcprules:`, the rules of tcpserver: the administrator's and ours in one cdb file, compiled by the program tcprules.

`tcprules:/etc/tcp.smtp` stands for the rules that the administrator keeps in /etc/tcp.smtp (his local networks; another
file with the option `rules`) and the file /etc/tcp.smtp.cdb that `tcpserver -x` reads for each connection.

Invariants
- Whoever reads the file finds a whole policy: his rules first, unchanged, so that a rule of his wins over ours for the
  same address, then MARK, then ours. What stands behind MARK is ours, nothing else is; tcpserver never looks MARK up.
- A line of his that tcprules passes over in silence (0.88) or never ends at (its build for IPv6) is refused by name.
- His file is read anew at each change, and each heartbeat looks whether it has changed.

Where the program knows IPv6, each IPv4 address gets a second rule, as a socket for both families spells it
(`::ffff:192.0.2.1`); where it does not, IPv6 addresses get none, which costs nothing: its tcpserver serves none.
Imports modules of this package and `errors`.
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
from pbs_fast.tables.file.windows import window
from pbs_fast.tables.owner import Owner
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.cdb import CdbTable
from pbs_fast.tables.types.rules import canonical, instructions

log = logging.getLogger(__name__)

VALUE = 'allow,RELAYCLIENT=""'
#: The rule between his and ours: for what an IDENT server says of nobody, so no connection's.
MARK = b"pbs-fast@"
_MAPPED = "::ffff:"

#: What a line must hold, or tcprules 0.88 drops it and its build for IPv6 looks for the end for ever (both tried).
_RULE = re.compile(rb"[^\0]*?:(?:allow|deny)(?:,[^\0]*)?")


class TcprulesTable(CdbTable):
    """Compiled and renamed at each change: 0.4 s for 100 000 addresses, each in both its forms."""

    commas = True

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        """As FileTable. Raises UsageError for a bad value or limit, TableError where there is no tcprules."""
        if spec.path is None:
            raise TypeError(f"{spec} has no path")
        self._limit = time_limit(spec)
        self._own = Path(spec.option("rules")) if spec.option("rules") else None
        if self._own is not None and not self._own.is_absolute():
            raise UsageError(f"table {spec}: rules={self._own}: needs the whole path of a file")
        self._rules = self._own or spec.path
        value = canonical(spec.option("value", VALUE))
        if value is None:
            raise UsageError(f"table {spec}: value={spec.option('value')}: needs the form of {VALUE}, without {{user}}")
        found = shutil.which(spec.option("program", "tcprules"))
        if found is None:
            raise TableError(
                f"{spec}: there is no program {spec.option('program', 'tcprules')}; install ucspi-tcp (Debian: "
                f"ucspi-tcp-ipv6), or name it with program="
            )
        self._program = found
        self._knows_ipv6: bool | None = None
        self._told_ipv6 = False
        self._has_rules = False
        """Whether rules of the administrator's are in the compiled file; they never go with a text that is missing."""
        self._read: tuple[int, int, int] | None = None
        """The administrator's file as the last build read it."""
        super().__init__(spec, replace(options, value=value), owner)

    @property
    def window(self) -> float:
        return window(ahead=0, busy=self._replace_seconds)  # tcpserver looks at no time

    def heartbeat(self) -> None:
        if self._whole and self._identity() != self._read:
            log.info("%s has changed; taking it over into %s", self._rules, self._file)
            self._whole = False
            self._replace()
        super().heartbeat()

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        """The rows behind MARK, in a file without it all."""
        found = super().pairs(file, wait=wait, flock=flock)
        at = next((number for number, (key, _) in enumerate(found, 1) if key == MARK), 0)
        rows = []
        for key, data in found[at:]:
            text = instructions(data)
            if text is None:
                raise TableError(f"{file} is a cdb file, but not one of tcprules; move it away or give another table")
            if not (at and key.startswith(_MAPPED.encode())):
                rows.append((key, text))
        return rows

    def _found(self, wait: float) -> dict[str, bytes]:
        there = CdbTable.pairs(self._file, wait=0)
        at = next((number for number, (key, _) in enumerate(there) if key == MARK), None)
        if at is None and set(there) <= set(self._compiled()):
            return {}  # what he compiled from his file himself, before us
        self._has_rules = bool(at)
        return super()._found(wait)

    @property
    def _elsewhere(self) -> str:
        return f"put rules of your own into {self._rules}"

    def _compiled(self) -> list[tuple[bytes, bytes]]:
        """The administrator's rules alone."""
        target = self._file.with_name(self._file.name + ".own")
        try:
            self._compile(target, self._text())
            return CdbTable.pairs(target, wait=0)
        finally:
            target.unlink(missing_ok=True)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        before = self._identity()
        lines = [self._text(), MARK, b":allow\n"]
        left_out = 0
        ipv6 = self._ipv6(target)
        for ip, value in rows.items():
            if ":" not in ip or ipv6:
                lines += (ip.encode(), b":", value, b"\n")
                if ipv6 and ":" not in ip:
                    lines += (_MAPPED.encode(), ip.encode(), b":", value, b"\n")
            else:
                left_out += 1
        self._compile(target, b"".join(lines))
        self._read = before
        if left_out and not self._told_ipv6:
            log.warning(
                "%s: %s knows no IPv6, so %d IPv6 addresses get no rule (Debian: ucspi-tcp-ipv6 does)",
                self._file,
                self._program,
                left_out,
            )
            self._told_ipv6 = True

    def _ipv6(self, target: Path) -> bool:
        """Whether this tcprules takes IPv6 addresses; asked once."""
        if self._knows_ipv6 is None:
            try:
                self._compile(target, b"2001:db8::1:allow\n")
                self._knows_ipv6 = b"2001:db8::1" in dict(CdbTable.pairs(target, wait=0))
            except EngineError:
                self._knows_ipv6 = False
            finally:
                target.unlink(missing_ok=True)
        return self._knows_ipv6

    def _compile(self, target: Path, text: bytes) -> None:
        """It writes beside and renames by itself; EngineError with its own words when it fails."""
        beside = target.with_name(target.name + ".new")
        # One whose daemon was killed may still be at work: now its file has no name, and its rename fails or ours does.
        beside.unlink(missing_ok=True)
        try:
            run(
                [self._program, os.fspath(target), os.fspath(beside)],
                table=self._spec,
                limit=self._limit,
                text=text,
            )
        except TableError as error:
            beside.unlink(missing_ok=True)
            raise EngineError(str(error).removeprefix(f"{self._spec}: ")) from error

    def _text(self) -> bytes:
        """The administrator's rules, each line checked. Raises TableError that names the line."""
        try:
            content = self._rules.read_bytes()
        except FileNotFoundError:
            if self._own is None and not self._has_rules:
                return b""
            raise TableError(
                f"{self._spec}: there is no {self._rules} with rules of your own; make it, empty if there are none, or "
                f"name it with rules="
            ) from None
        except OSError as error:
            raise TableError(os_error("cannot read", self._rules, error)) from error
        lines = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            if line and not line.startswith(b"#") and not _RULE.fullmatch(line):
                raise TableError(
                    f"{self._rules}:{number}: {line[:60].decode('latin-1')!a} is no rule of tcprules; write "
                    f"ADDRESS:allow or ADDRESS:deny"
                )
        self._has_rules = bool(content)
        return content if not lines[-1] else content + b"\n"

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            found = self._rules.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
