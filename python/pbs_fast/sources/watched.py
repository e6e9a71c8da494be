"""Which logs the daemon follows: the paths of `watchlog`, its patterns resolved, now and again while it runs."""

from __future__ import annotations

from pbs_fast.config import Config, logs
from pbs_fast.errors import UsageError
from pbs_fast.sources.file.names import expand, is_pattern
from pbs_fast.sources.registry import find_scheme


class Watched:
    """The logs of one configuration, each once, in its order: paths, and specs of what is no file.

    Raises UsageError for a pattern that fits no log.
    """

    def __init__(self, config: Config) -> None:
        self.patterns: list[str] = []
        self.paths: list[str] = []
        self._named: set[str] = set()
        for spec in logs(config):
            found = [spec]
            if find_scheme(spec) is None and is_pattern(spec):
                self.patterns.append(spec)
                found = expand(spec, self.paths)
                if not found:
                    raise UsageError(f"--watchlog={spec}: no file matches this pattern; name an existing log")
            else:
                self._named.add(spec)
            self.paths += [path for path in dict.fromkeys(found) if path not in self.paths]

    def arrived(self) -> list[str]:
        """The logs that fit a pattern now and did not at the last look."""
        fresh: list[str] = []
        for pattern in self.patterns:
            fresh += [path for path in expand(pattern, self.paths) if path not in (*self.paths, *fresh)]
        self.paths += fresh
        return fresh

    def is_named(self, path: str) -> bool:
        """Does the configuration name this log itself, not by a pattern?"""
        return path in self._named

    def forget(self, path: str) -> None:
        """Treat a log that came by a pattern as a new one when it comes again."""
        self.paths.remove(path)


def refuse_inherited(config: Config) -> None:
    """Raises UsageError for a log that a daemon in the background cannot read: it gives up its standard input."""
    for spec in logs(config):
        scheme = find_scheme(spec)
        if scheme is not None and scheme.inherited:
            raise UsageError(f"--watchlog={spec} and --daemon do not go together; leave out --daemon, or name a file")
