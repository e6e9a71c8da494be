"""Makes the daemon's parts from a configuration, and runs them: `pbs-fast run`.

What can be wrong with the configuration, the tables and the logs is found here, before the process says it is ready.
Raises PbsError with one line for the user. Imports everything but the commands.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pbs_fast import __version__
from pbs_fast.clock import Clock
from pbs_fast.config import Config, Settings, load, logs, merge
from pbs_fast.daemon.follower import Follower
from pbs_fast.daemon.loop import Daemon
from pbs_fast.daemon.publisher import Publisher
from pbs_fast.daemon.reprocess import reprocess
from pbs_fast.daemon.signals import Signals
from pbs_fast.deny import read_deny
from pbs_fast.errors import PbsError, SourceError, UsageError
from pbs_fast.events import Counters
from pbs_fast.formats.loader import extend, load_catalogue
from pbs_fast.guards import Guards, read_machine
from pbs_fast.ledger import Ledger
from pbs_fast.logs import Log
from pbs_fast.matching import load_core
from pbs_fast.netblocks import read_netblocks
from pbs_fast.sources.wakeup import Hints
from pbs_fast.tables import Table, TableOptions, open_table
from pbs_fast.tables.untyped import choose
from pbs_fast.zones import zone_table

if TYPE_CHECKING:
    from pbs_fast.daemon.background import Background

#: What makes a log's name a pattern, when no file has that very name.
_WILD = "*?["


def run(settings: Settings, log: Log, background: Background | None = None) -> int:
    """Run the daemon until a signal stops it, or with `once` until all there is was read; the exit status.

    Raises PbsError when it cannot start.
    """
    config = settings.config
    paths = watched(config)
    with ExitStack() as stack:
        stack.enter_context(_engine_words(log))
        signals = stack.enter_context(Signals())
        parts = Parts(settings, log)
        log.info(f"starting up (v{__version__}): {parts.core.name} matcher ({parts.core.reason})")
        followers = parts.followers(paths)
        tables = open_tables(config, log, parts.clock) if config.write else []
        daemon = Daemon(
            followers=followers,
            guards=parts.guards,
            ledger=parts.ledger,
            publisher=Publisher(tables),
            clock=parts.clock,
            signals=signals,
            hints=parts.hints,
            log=log,
            reload=parts.reload,
        )
        try:
            for follower in followers:
                follower.open()
            if config.reprocess:
                reprocess(followers, parts.guards, parts.ledger, parts.clock, signals, log)
            daemon.start()
            log.info(f"ready: {len(parts.ledger)} addresses may relay")
            if background is not None:
                background.ready()
            if not config.once:
                daemon.serve()
        finally:
            written = daemon.close()
        if signals.stop is not None:
            log.info(f"caught {signals.stop.name} -- exiting")
        log.info("counted " + " ".join(f"{name}={n}" for name, n in sorted(daemon.totals().items()) if n))
        return 0 if written else 1


class Parts:
    """Everything between logs and tables, as the configuration wants it."""

    def __init__(self, settings: Settings, log: Log) -> None:
        config = settings.config
        self._file = settings.file
        self._log = log
        self._config = config
        self.clock = Clock()
        self.counters = Counters()
        self.core = load_core(config.core if "core" in settings.origins else None)
        formats = extend(load_catalogue(), config.program_tags)
        self._matcher = self.core.Matcher(formats, zone_table(config.log_timezone))
        netblocks = read_netblocks(config.mynetworks, config.postconf)
        machine = read_machine()
        self.guards = Guards(config.guards, netblocks, machine, read_deny(config.deny), self.counters)
        self.ledger = Ledger(config.grace, self.counters)
        self.hints = Hints()
        self._warn(netblocks.notices, machine.notices)

    def followers(self, paths: Sequence[str]) -> list[Follower]:
        """One follower a log."""
        return [
            Follower(
                path,
                self.core,
                self._matcher,
                grace=self._config.grace,
                start="begin" if self._config.reprocess else "replay",
                hints=self.hints,
                say=self._log.warning,
                fold_past=not self.guards.wants_events,
            )
            for path in paths
        ]

    def reload(self) -> bool:
        """Open our own log anew; take over mynetworks, guards and deny list as they are now. Whether that went well.

        On a fault all of them stay as they were, and the log says why. What else changed in the file needs a restart.
        """
        self._log.reopen()
        try:
            fresh = merge(load(self._file), ()).config
            netblocks = read_netblocks(fresh.mynetworks, fresh.postconf)
            machine = read_machine()
            self.guards.reload(fresh.guards, netblocks, machine, read_deny(fresh.deny))
        except PbsError as error:
            self._log.warning(f"reload: {error}; going on with what was in force")
            return False
        self._warn(netblocks.notices, machine.notices)
        self._log.info("reloaded mynetworks, guards and deny list")
        return True

    def _warn(self, *notices: Iterable[str]) -> None:
        for some in notices:
            for notice in some:
                self._log.warning(notice)


def watched(config: Config) -> list[str]:
    """The paths of the logs to follow, file name patterns resolved.

    Raises SourceError for a source that there is none of its kind for, UsageError for a pattern that fits nothing.
    """
    paths: list[str] = []
    for spec in logs(config):
        if spec.startswith("journal:"):
            asked = "no log is named and none of the usual ones exists" if not config.watchlog else f"log {spec}"
            raise SourceError(f"{asked}; the journal cannot be read yet, name a log with --watchlog=FILE")
        if spec == "-":
            raise SourceError("standard input cannot be followed yet; name a log with --watchlog=FILE")
        if any(each in spec for each in _WILD) and not os.path.lexists(spec):
            found = sorted(glob.glob(spec))  # noqa: PTH207 - the pattern may begin anywhere
            if not found:
                raise UsageError(
                    f"--watchlog={spec}: no file fits this pattern; name a log that exists, or is going to"
                )
            paths += found
        else:
            paths.append(spec)
    return list(dict.fromkeys(paths))


def open_tables(config: Config, log: Log, clock: Clock) -> list[Table]:
    """The tables of the configuration, each once. Raises TableError or UsageError, and then none is open."""
    options = TableOptions(value=config.value, flock=config.flock, adopt=config.adopt, wall=clock.to_wall)
    opened: list[Table] = []
    seen = set()
    try:
        for text in config.tables:
            spec, reason = choose(text)
            if spec in seen:
                continue
            seen.add(spec)
            log.info(f"table {spec}" + (f": {reason}" if reason else ""))
            opened.append(open_table(spec, options=options))
    except PbsError:
        for table in opened:
            table.close()
        raise
    return opened


class _Words(logging.Handler):
    """Brings what the tables say through `logging` into our own log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.DEBUG)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self._log.warning(text)
        elif record.levelno >= logging.INFO:
            self._log.info(text)
        else:
            self._log.debug(text)


@contextmanager
def _engine_words(log: Log) -> Iterator[None]:
    logger = logging.getLogger("pbs_fast")
    handler = _Words(log)
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if log.debugging else logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
