"""Which logs the daemon follows: the paths of `watchlog`, its patterns resolved, now and again while it runs.

Imports config and sources.
"""

from __future__ import annotations

from pbs_fast.config import JOURNAL, STDOUT, Config, logs
from pbs_fast.errors import SourceError, UsageError
from pbs_fast.sources.spec import expand, is_pattern

#: In `watchlog` the same sign means standard input.
_STDIN = STDOUT


class Watched:
    """The logs of one configuration, each once, in its order.

    Raises SourceError for a kind of source that there is not yet, UsageError for a pattern that fits no log.
    """

    def __init__(self, config: Config) -> None:
        self.patterns: list[str] = []
        self.paths: list[str] = []
        for spec in logs(config):
            if spec.startswith(JOURNAL):
                asked = f"log {spec}" if config.watchlog else "no log is named and none of the usual ones exists"
                raise SourceError(f"{asked}; the journal cannot be read yet, name a log with --watchlog=FILE")
            if spec == _STDIN:
                raise SourceError("standard input cannot be followed yet; name a log with --watchlog=FILE")
            found = [spec]
            if is_pattern(spec):
                self.patterns.append(spec)
                found = expand(spec, self.paths)
                if not found:
                    raise UsageError(f"--watchlog={spec}: no log fits this pattern; name one that is there")
            self.paths += [path for path in dict.fromkeys(found) if path not in self.paths]

    def arrived(self) -> list[str]:
        """The logs that fit a pattern now and did not at the last look."""
        fresh: list[str] = []
        for pattern in self.patterns:
            fresh += [path for path in expand(pattern, self.paths) if path not in (*self.paths, *fresh)]
        self.paths += fresh
        return fresh
