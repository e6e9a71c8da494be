"""The administrator's own grants and denials, over restarts: manual.json in `state_directory`.

The file is written before anything else happens, so what a killed daemon had told somebody is in it. A change that
cannot be saved is refused if it grants, and made all the same if it denies, with the reason in the reply.

A damaged file is kept as manual.json.damaged, its readable denials stay in force, its grants do not; a notice says so
until that file is removed, because denials may be missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

from pbs_fast.daemon.state_file import StateFile
from pbs_fast.guards.deny import Denial
from pbs_fast.ledger.manual import DamagedError, Manual, ManualDenial, ManualGrant, decode
from pbs_fast.util.addresses import parse_network
from pbs_fast.util.admin_files import read_admin_file
from pbs_fast.util.text import fold_user

if TYPE_CHECKING:
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

FILE = "manual.json"
_DAMAGED = ".damaged"
#: Largest file, in bytes: 20,000 entries with long names and reasons.
_SIZE_LIMIT = 32 << 20
#: Seconds by which a grant may seem to be made in the future before the clock counts as set back.
_CLOCK_SLACK = 5


class ManualRows:
    """What is in force, and its file."""

    def __init__(self, directory: Path | None, clock: Clock, window: int) -> None:
        """Reads the file; `directory` None: there is none, and nothing can be changed. `window`: seconds back that a
        start looks for logins."""
        self._window = window
        self._file = None if directory is None else StateFile(directory / FILE)
        self._clock = clock
        self.state = Manual()
        self._unreadable: str | None = None
        """Why the file was not read, and so must not be replaced."""
        self.trouble: str | None = None
        """What an administrator must know of the file."""
        if self._file is not None:
            self._read(self._file.path)

    def denials(self) -> tuple[Denial, ...]:
        """All denials as the guards want them, those too that have ended and cover logins which a start may find."""
        return tuple(map(_denial, (*self.state.denials.values(), *self.state.others.values())))

    def grants(self) -> list[tuple[ManualGrant, int]]:
        """The grants that hold now, each with its end in seconds on the ledger's clock.

        One that was made in the future is none: the clock was set back, and nobody knows how long it has lasted.
        """
        wall = self._clock.wall()
        live = [grant for grant in self.state.grants.values() if grant.until > wall]
        ahead = [grant.ip for grant in live if grant.made > wall + _CLOCK_SLACK]
        if ahead:
            log.warning(
                "%d manual grants were made in the future (was the clock set back?) and are not in force: %s",
                len(ahead),
                " ".join(ahead[:10]),
            )
        shift = self._clock.shift()
        return [(grant, grant.until + shift) for grant in live if grant.ip not in ahead]

    def save(self, changed: Manual) -> str | None:
        """Put a changed state into the file and then into force; None, or why it could not be saved.

        What has ended is left out. It is in force in any case.
        """
        changed.end(self._clock.wall(), self._window)
        why = self._write(changed)
        self.state = changed
        return why

    def try_save(self, changed: Manual) -> str | None:
        """The same, but it is not in force if it cannot be saved."""
        changed.end(self._clock.wall(), self._window)
        why = self._write(changed)
        if why is None:
            self.state = changed
        return why

    def forget(self, ips: Iterable[str]) -> None:
        """Drop the grants of these addresses, which were removed early; a grant must not come back at a restart."""
        gone = self.state.grants.keys() & ips
        if not gone:
            return
        changed = self.state.copy()
        changed.forget(gone)
        if (why := self.save(changed)) is not None:
            log.warning("%s; a restart would grant again what was removed now", why)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()

    def _write(self, changed: Manual) -> str | None:
        if self._file is None:
            return "nothing is written (write = false)"
        if self._unreadable is not None:
            return self._unreadable
        return self._file.write(changed.encode()) or None

    def _read(self, file: Path) -> None:
        damaged = file.with_name(file.name + _DAMAGED)
        try:
            self.state = decode(read_admin_file(file, _SIZE_LIMIT))
        except FileNotFoundError:
            pass
        except OSError as error:
            self.trouble = f"cannot read {file}: {error.strerror}; manual grants and denials are not in force"
            self._unreadable = self.trouble
            log.error("%s", self.trouble)  # noqa: TRY400 - our log has one line an error
        except DamagedError as error:
            self.state = error.left
            with suppress(OSError):
                file.replace(damaged)
            left = len(error.left.denials)
            log.error("%s: %s; %d of its denials are in force, and no grant", file, error, left)  # noqa: TRY400
            if self.state.denials:
                self.save(self.state)
        if self.trouble is None and damaged.exists():
            self.trouble = (
                f"{FILE} was damaged: denials may be missing; look at {damaged}, revoke again what is missing, and "
                "remove that file"
            )
            log.error("%s", self.trouble)


def spoken(uid: int, pid: int, reason: str) -> str:
    """Who did it and why, as in an audit line: `manual: uid=0 pid=8123 "stolen password"`."""
    return f"manual: uid={uid} pid={pid}" + (f" {json.dumps(reason, ensure_ascii=False)}" if reason else "")


def until_of(clock: Clock, seconds: int) -> tuple[int, int]:
    """Now, and the end of something that lasts so many seconds from now; both since the epoch."""
    now = floor(clock.wall())
    return now, now + seconds


def _denial(denial: ManualDenial) -> Denial:
    users = (fold_user(denial.what),) if denial.kind == "user" else ()
    networks = (parse_network(denial.what),) if denial.kind in ("ip", "network") else ()
    nodes = (denial.what,) if denial.kind == "node" else ()
    by = made_by(denial.by, denial.node) if denial.node else ""
    return Denial(networks, users, denial.until, denial.reason, denial.uid, nodes, by, denial.node)


def made_by(by: str, node: str) -> str:
    """Who denied something on another node: `root@pop1`, as nodes write it themselves."""
    return by if by.endswith(f"@{node}") else f"{by} at {node}"
