"""When to look again: inotify as a hint where the system has it, and a timer in any case.

A hint may come late, twice, or never (network and overlay file systems, a full queue, no watches left), so nothing is
concluded from one: it only makes the next look come at once. Imports nothing of the package.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.platform == "linux":
    from inotify_simple import INotify, flags, parse_events  # type: ignore[import-untyped, unused-ignore]

    _FILE = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF | flags.DELETE_SELF
    _DIRECTORY = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.ATTRIB | flags.ONLYDIR

#: First and greatest pause between two looks at a log that is silent, in seconds. Four looks a second cost about
#: 0.02 % of a processor, so the timer is the same with inotify: a log on NFS gives no hints.
SHORTEST, LONGEST = 0.001, 0.25

#: How long a log is left alone after a look when line follows line, in seconds. A look costs 60 µs: at 1 000 lines a
#: second one for each takes 8 % of a processor, and a login waits for 3 ms at most, less than a POP session lasts.
BUSY = 0.003

#: Greatest pause between two looks at a log that is not there or not readable, in seconds.
LONGEST_ABSENT = 2.0


_WATCH = struct.Struct("i12x").unpack


class Backoff:
    """The pause until the next look: it doubles while nothing happens."""

    def __init__(self) -> None:
        self.pause = SHORTEST

    def something(self, *, hinted: bool) -> None:
        """`hinted`: a hint had told of it, so what comes next is likely to be told of, too, and need not be looked for:
        that would be nine looks a login."""
        self.pause = LONGEST if hinted else SHORTEST

    def nothing(self, *, absent: bool) -> None:
        self.pause = min(self.pause * 2, LONGEST_ABSENT if absent else LONGEST)


class Pause:
    """Sleeps between two looks: what comes after a silence is looked at at once, what comes often less often."""

    def __init__(self) -> None:
        self._looked_at = 0.0
        self._rest = SHORTEST
        self._poller = select.poll()
        self._registered: list[int] = []

    def looked(self) -> None:
        now = time.monotonic()
        often = now - self._looked_at < 2 * BUSY
        self._rest = min(2 * self._rest, BUSY) if often else SHORTEST
        self._looked_at = now

    @property
    def often(self) -> bool:
        """There have been looks again and again without a silence between them."""
        return self._rest == BUSY

    def rest(self, timeout: float) -> float:
        """Sleep until it may be looked again, for `timeout` seconds at most; what is left of them."""
        early = min(self._rest - (time.monotonic() - self._looked_at), timeout)
        if early <= 0:
            return timeout
        time.sleep(early)
        return timeout - early

    def wait(self, own: Iterable[int], timeout: float, others: Iterable[int] = ()) -> list[int]:
        """Sleep until a descriptor is readable, for `timeout` seconds at most; which of `others` are readable."""
        timeout = self.rest(timeout)  # a busy writer's hints would make the reader look for each single line
        other = list(others)
        fds = [*own, *other]
        if fds != self._registered:
            self._poller, self._registered = select.poll(), fds
            for fd in fds:
                self._poller.register(fd, select.POLLIN)
        # Rounded up: rounding down would make it spin through the last millisecond.
        ready = self._poller.poll(int(timeout * 1000 + 0.999))
        return [fd for fd, _ in ready if fd in other]


class Hints:
    """One inotify instance for any number of logs. Where there is none, `fileno` is None and `reason` says why."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._inotify: INotify | None = None
        self.told: frozenset[int] = frozenset()
        """The watches that the hints of the last `drain` were of."""
        self.reason: str | None = "switched off" if not enabled else None
        """Why logs are looked at by the timer alone; None when the system gives hints."""
        if not enabled:
            return
        if sys.platform != "linux":
            self.reason = "this system has no inotify"
            return
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:  # EMFILE: fs.inotify.max_user_instances; ENOSYS in some sandboxes
            self.reason = f"inotify_init: {error.strerror}"

    def fileno(self) -> int | None:
        return self._inotify.fileno() if self._inotify else None

    def watch_file(self, fd: int) -> int | None:
        """Watch an open file, under whatever name it has or gets; a watch for `forget`, None when it cannot be."""
        # Through /proc, because the path may name another file by now.
        return self._watch(f"/proc/self/fd/{fd}", _FILE) if sys.platform == "linux" else None

    def watch_directory(self, path: str) -> int | None:
        """Watch the coming and going of names."""
        return self._watch(path or ".", _DIRECTORY) if sys.platform == "linux" else None

    def forget(self, watch: int | None) -> None:
        if watch is None or self._inotify is None:
            return
        try:
            self._inotify.rm_watch(watch)
        except OSError:  # EINVAL: the kernel dropped it with the file
            return

    def drain(self) -> bool:
        """Take the hints that are there; were there any? Call it before looking, or a hint is lost between."""
        self.told = frozenset()
        if self._inotify is None:
            return False
        try:
            data = os.read(self._inotify.fileno(), 65_536)
        except BlockingIOError:
            return False
        # Nearly always there is one, without a name: the kernel drops those that repeat the last.
        self.told = frozenset([_WATCH(data)[0]] if len(data) == 16 else [event.wd for event in parse_events(data)])
        return bool(data)

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _watch(self, path: str, mask: int) -> int | None:
        if self._inotify is None:
            return None
        try:
            return int(self._inotify.add_watch(path, mask))
        except OSError as error:  # ENOSPC: fs.inotify.max_user_watches; ENOENT, EACCES
            self.reason = f"inotify_add_watch: {error.strerror}"
            return None
