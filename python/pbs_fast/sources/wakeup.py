"""When to poll again: after an inotify hint where the system has inotify, and by a timer in any case.

A hint may come late, twice, or never (network and overlay file systems, a full queue, no watches left), so it only
triggers the next poll and proves nothing.
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

#: First and longest pause between two polls of an idle log, in seconds. Four polls a second cost about 0.02 % of a
#: processor, so the timer is the same with inotify: a log on NFS gives no hints.
SHORTEST, LONGEST = 0.001, 0.25

#: Pause after a poll of a busy log, in seconds. A poll costs 60 µs: one per line at 1,000 lines a second would take 8 %
#: of a processor. A login waits for 3 ms at most, less than a POP session lasts.
BUSY = 0.003

#: Longest pause between two polls of a log that is missing or unreadable, in seconds.
LONGEST_ABSENT = 2.0

_WATCH = struct.Struct("i12x").unpack


class Backoff:
    """The pause until the next poll; it doubles while nothing happens."""

    def __init__(self) -> None:
        self.pause = SHORTEST

    def something(self, *, hinted: bool) -> None:
        """`hinted`: inotify announced it and will likely announce the next line, so the short pauses are not needed:
        they would cost nine polls a login."""
        self.pause = LONGEST if hinted else SHORTEST

    def nothing(self, *, absent: bool) -> None:
        self.pause = min(self.pause * 2, LONGEST_ABSENT if absent else LONGEST)


class Pause:
    """Sleeps between two polls: an idle log is read immediately, a busy one after BUSY seconds."""

    def __init__(self) -> None:
        self._polled_at = 0.0
        self._rest = SHORTEST
        self._poller = select.poll()
        self._registered: list[int] = []

    def polled(self) -> None:
        now = time.monotonic()
        often = now - self._polled_at < 2 * BUSY
        self._rest = min(2 * self._rest, BUSY) if often else SHORTEST
        self._polled_at = now

    @property
    def often(self) -> bool:
        """The log is busy: polls follow each other without an idle time between them."""
        return self._rest == BUSY

    def rest(self, timeout: float) -> float:
        """Sleep until the next poll is allowed, for `timeout` seconds at most; the rest of `timeout`."""
        early = min(self._rest - (time.monotonic() - self._polled_at), timeout)
        if early <= 0:
            return timeout
        time.sleep(early)
        return timeout - early

    def wait(self, own: Iterable[int], timeout: float, others: Iterable[int] = ()) -> list[int]:
        """Sleep until a descriptor is readable, for `timeout` seconds at most; the readable ones of `others`."""
        timeout = self.rest(timeout)  # a busy writer's hints would cause one poll per line
        other = list(others)
        fds = [*own, *other]
        if fds != self._registered:
            self._poller, self._registered = select.poll(), fds
            for fd in fds:
                self._poller.register(fd, select.POLLIN)
        # Rounded up: rounding down would spin through the last millisecond.
        ready = self._poller.poll(int(timeout * 1000 + 0.999))
        return [fd for fd, _ in ready if fd in other]


class Hints:
    """One inotify instance for any number of logs. Without inotify, `fileno` is None and `reason` says why."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._inotify: INotify | None = None
        self.hinted: frozenset[int] = frozenset()
        """The watches of the hints in the last `drain`."""
        self.reason: str | None = "switched off" if not enabled else None
        """Why logs are polled by the timer alone; None if inotify works."""
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
        """Watch an open file, even when it is renamed; the watch for `forget`, or None if that failed."""
        # Through /proc, because the path may name another file by now.
        return self._watch(f"/proc/self/fd/{fd}", _FILE) if sys.platform == "linux" else None

    def watch_directory(self, path: str) -> int | None:
        """Watch the creation and removal of names."""
        return self._watch(path or ".", _DIRECTORY) if sys.platform == "linux" else None

    def forget(self, watch: int | None) -> None:
        if watch is None or self._inotify is None:
            return
        try:
            self._inotify.rm_watch(watch)
        except OSError:  # EINVAL: the kernel dropped it with the file
            return

    def drain(self) -> bool:
        """Read all hints; were there any? Call it before a poll, or a hint in between is lost."""
        self.hinted = frozenset()
        if self._inotify is None:
            return False
        try:
            data = os.read(self._inotify.fileno(), 65_536)
        except BlockingIOError:
            return False
        # Nearly always a single one without a name: the kernel drops repetitions of the last.
        self.hinted = frozenset([_WATCH(data)[0]] if len(data) == 16 else [event.wd for event in parse_events(data)])
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
