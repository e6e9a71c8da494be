"""When rows that no log explains must end, kept in a file next to each table, so that a restart gives no new grace.

A start keeps such rows for up to `grace` seconds. Without this file each start would count those seconds anew, and a
daemon that is restarted more often than that would keep the rows for ever. The file also says that a start has begun:
one that is killed before it knows which rows are explained must not set the clock back either.

Times are kept as seconds that are left, with the readings of both clocks. While the machine runs, the boot clock tells
how much of them has passed, whatever is done to the wall clock. Over a reboot the wall clock tells it; where that went
backwards nobody knows, and the seconds count as over.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import floor, inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pbs_fast.util.admin_files import read_admin_file, replace_file

if TYPE_CHECKING:
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

SUFFIX: Final = ".unexplained"
_VERSION = 1
#: Seconds between two looks at which rows have been explained since; a kill -9 forgets so much of it.
_EVERY = 60.0
#: Writing takes at most this share of the time.
_SHARE = 0.01
#: Largest file, in bytes: ten million addresses.
_SIZE_LIMIT = 256 << 20


class Unexplained:
    """The ends of rows that no log explains. Made before the rows of the tables are read, then `start_finished` and
    `turned`."""

    def __init__(self, tables: Iterable[Path], ledger: Ledger, clock: Clock) -> None:
        """Reads what an earlier run left next to the files of the tables, and notes there that a start has begun."""
        self._files = [table.with_name(table.name + SUFFIX) for table in tables]
        self._ledger, self._clock = ledger, clock
        self._failed = False
        self._shift = clock.shift()
        self._over = False
        """What an earlier run left cannot be read or reckoned with: rows that no log explains are over."""
        self._since: float | None = clock.now()
        """When the first start began that did not find out which rows are explained; None once that is known."""
        self._ends: dict[str, float] = {}
        """Address -> second of the ledger's clock."""
        for file in self._files:
            self._read(file)
        self._next_end = -inf
        self._due = inf
        self._write()

    def ended(self, found: Iterable[str]) -> list[str]:
        """While a start reads the past: the rows `found` in the tables whose end has come, though the log may still
        explain them. To be asked between two turns; cheap."""
        now = self._clock.now()
        if now < self._next_end or self._since is None:
            return []
        # No login from before the first start holds longer.
        last = self._since + self._ledger.window
        self._next_end = min((end for end in (*self._ends.values(), last) if end > now), default=inf)
        return [ip for ip in found if min(self._ends.get(ip, inf), last) <= now and ip not in self._ledger]

    @property
    def due(self) -> float:
        """When `turned` is worth calling next, on time.monotonic's clock."""
        return self._due

    def latest(self, ip: str) -> int:
        """The second of the ledger's clock at which a row that no log explains ends at the latest."""
        if self._over or self._since is None:
            return 0
        return floor(min(self._ends.get(ip, inf), self._since + self._ledger.grace))

    def start_finished(self) -> None:
        """The start is over: of the ledger's rows, those that no log explains are kept in mind until they end."""
        before, self._ends, self._since = self._ends, {}, None
        for ip, row in self._ledger.rows().items():
            # What a checkpoint gave back is "recovered" too; without an end from before, a log has explained it.
            if row.why == "recovered" and (ip in before or not row.format):
                self._ends[ip] = min(before.get(ip, inf), row.expires)
        self._write()

    def turned(self) -> None:
        """Between two turns of the loop: forget rows that have ended or that a login explains now."""
        if (self._ends or self._since is not None) and self._clock.shift() != self._shift:
            self._write()  # somebody set the wall clock: what was written says too much after a reboot
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """The same now; before the start is over, nothing."""
        if self._since is not None:
            return
        rows = self._ledger
        left = {ip: end for ip, end in self._ends.items() if (row := rows.get(ip)) and row.why == "recovered"}
        if len(left) < len(self._ends) or self._failed:
            self._ends = left
            self._write()
        elif left:
            self._due = time.monotonic() + _EVERY

    def _write(self) -> None:
        begun = time.monotonic()
        self._shift = self._clock.shift()
        self._due = begun + _EVERY if self._ends else inf
        if not self._ends and self._since is None:
            for file in self._files:
                with suppress(OSError):  # the next start then counts from when this one began, which ends rows sooner
                    file.unlink(missing_ok=True)
            return
        data = self._record()
        failures: list[str] = []
        for file in self._files:
            try:
                replace_file(file, data)
            except OSError as error:
                failures.append(f"cannot write {file}: {error.strerror}")
        if failures and not self._failed:
            log.warning(f"{failures[0]}; rows that no log explains get a new grace period at the next start")
        self._failed = bool(failures)
        if failures:
            self._due = begun + _EVERY
        self._due = max(self._due, begun + (time.monotonic() - begun) / _SHARE)

    def _record(self) -> bytes:
        now = self._clock.now()
        groups: defaultdict[float, list[str]] = defaultdict(list)
        for ip, end in self._ends.items():
            groups[round(end - now, 3)].append(ip)
        record = {
            "version": _VERSION,
            "boot": self._clock.boot_id,
            "boot_s": self._clock.boot(),
            "wall_s": self._clock.wall(),
            "starting": None if self._since is None else now - self._since,
            "rows": list(groups.items()),
        }
        return json.dumps(record, separators=(",", ":")).encode("ascii")

    def _read(self, file: Path) -> None:
        try:
            record = json.loads(read_admin_file(file, _SIZE_LIMIT))
            self._take(record)
        except FileNotFoundError:
            return
        except OSError as error:
            reason = error.strerror or "?"
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            reason = f"it is damaged ({type(error).__name__})"
        else:
            return
        self._over = True
        log.warning(f"cannot read {file}: {reason}; rows that no log explains are removed now")

    def _take(self, record: dict[str, Any]) -> None:
        """Raises LookupError, TypeError, ValueError or AttributeError for what `_record` has not made."""
        if record["version"] != _VERSION:
            raise ValueError("version")
        starting = record["starting"]
        age = 0.0 if starting is None else _seconds(starting)
        left = {ip: _seconds(seconds) for seconds, ips in record["rows"] for ip in _texts(ips)}
        passed = self._passed(record)
        if passed is None:
            self._over = True
            return
        written = self._clock.now() - passed
        if starting is not None and self._since is not None:
            self._since = min(self._since, written - age)
        for ip, seconds in left.items():
            self._ends[ip] = min(self._ends.get(ip, inf), written + seconds)

    def _passed(self, record: dict[str, Any]) -> float | None:
        """Seconds since the record was written; None when nobody can tell."""
        boot = self._clock.boot() - _seconds(record["boot_s"])
        wall = self._clock.wall() - _seconds(record["wall_s"])
        if record["boot"] is not None and record["boot"] == self._clock.boot_id and boot >= 0:
            return boot
        return wall if wall >= 0 else None


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
        raise ValueError
    return float(value)


def _texts(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError
    return value
