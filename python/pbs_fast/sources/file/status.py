"""Is the log there? Says each change once. Imports `identity` and `notices`."""

from __future__ import annotations

from collections.abc import Callable

from pbs_fast.sources.file.position import display, refusal
from pbs_fast.sources.notices import Kind, Notice

#: Seconds for which a path may name nothing during a rotation before that is worth a notice.
MISSING_AFTER = 5.0


class Presence:
    """What the last looks at one path found."""

    def __init__(self, path: str, say: Callable[[Notice], object]) -> None:
        self.trouble: Notice | None = None
        """Why there is nothing to follow at the path; None while there is."""
        self._path = path
        self._say = say
        self._absent_since: float | None = None

    def missing(self, now: float, *, following: bool) -> None:
        """The path names nothing. `following`: the file that it named is still read, as within a rotation."""
        if self._absent_since is None:
            self._absent_since = now
        if not following or now - self._absent_since >= MISSING_AFTER:
            self._trouble("missing", f"{display(self._path)} does not exist; waiting for it")

    def unreadable(self, error: OSError | ValueError) -> None:
        reason = refusal(self._path, error) if isinstance(error, OSError) else f"{display(self._path)}: {error}"
        self._trouble("unreadable", f"{reason}; waiting for it")

    def not_a_log(self) -> None:
        self._trouble("not-a-log", f"{display(self._path)} is no file, pipe or terminal; waiting for a log there")

    def here(self) -> None:
        if self.trouble is not None:
            self._say(Notice("found", self._path, f"{display(self._path)} is there; following it"))
        self.trouble = self._absent_since = None

    def _trouble(self, kind: Kind, text: str) -> None:
        if self.trouble is None or self.trouble.kind != kind:
            self.trouble = Notice(kind, self._path, text)
            self._say(self.trouble)
