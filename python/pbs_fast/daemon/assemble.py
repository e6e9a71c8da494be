"""Makes the daemon's parts from a configuration, and runs them: `pbs-fast run`.

What can be wrong with the configuration, the tables and the logs is found here, before the process says it is ready.
Raises PbsError with one line for the user.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from pbs_fast import __version__
from pbs_fast.caps.counter import CapCounter
from pbs_fast.config import DEFAULT, Config, Settings, load, merge, why_default
from pbs_fast.control.requests import Control
from pbs_fast.control.sockets import open_sockets
from pbs_fast.daemon.cap_state import CapState
from pbs_fast.daemon.cap_watch import CapWatch, limits_of, tell_caps
from pbs_fast.daemon.checkpoint import Checkpoints
from pbs_fast.daemon.follower import Follower
from pbs_fast.daemon.log_set import LogSet
from pbs_fast.daemon.log_watch import LogWatch
from pbs_fast.daemon.loop import Daemon
from pbs_fast.daemon.manual import ManualRows
from pbs_fast.daemon.mta_check import check_mta
from pbs_fast.daemon.notify import Notifier
from pbs_fast.daemon.open_tables import left_tables, open_tables
from pbs_fast.daemon.other_source import OtherSource
from pbs_fast.daemon.paths import absolute
from pbs_fast.daemon.publisher import Publisher
from pbs_fast.daemon.reprocess import reprocess
from pbs_fast.daemon.resume import resume
from pbs_fast.daemon.signals import Signals
from pbs_fast.daemon.unexplained import Unexplained
from pbs_fast.errors import PbsError
from pbs_fast.events import Counters
from pbs_fast.formats.ends import session_ends
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.guards import Guards, read_machine
from pbs_fast.guards.deny import read_deny
from pbs_fast.guards.netblocks import Netblocks, read_netblocks
from pbs_fast.health.loggers import raw_line_feeds
from pbs_fast.health.lost_lines import LOGGERS
from pbs_fast.health.notices import Notices
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import OpenSessions
from pbs_fast.log.handlers import OwnLog
from pbs_fast.log.records import event
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime, read_shape
from pbs_fast.matching.site import cost, site_formats
from pbs_fast.matching.zones import zone_table
from pbs_fast.metrics.expose import Text, Ways
from pbs_fast.metrics.snapshot import Latest
from pbs_fast.serving.activation import inherited
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.journal.newest import newest_entry
from pbs_fast.sources.protocol import Start
from pbs_fast.sources.registry import find_scheme
from pbs_fast.sources.wakeup import Hints
from pbs_fast.sources.watched import Watched
from pbs_fast.tables.value import Template
from pbs_fast.util.clock import Clock

if TYPE_CHECKING:
    from pbs_fast.daemon.background import Background

log = logging.getLogger(__name__)


def run(
    settings: Settings,
    own: OwnLog,
    directory: str,
    background: Background | None = None,
    clock: Clock | None = None,
    program: str = "pbs-fast run",
) -> int:
    """Run the daemon until a signal stops it, or with `once` until all there is was read; the exit status.

    `own` is reopened by a reload, and writes what it holds once the tables are ours. `directory` is where relative
    paths begin that a reload finds; `clock` is by default the machine's; `program` is our name in errors. Raises
    PbsError when it cannot start.
    """
    config = settings.config
    handed = inherited()
    with ExitStack() as stack:
        notifier = stack.enter_context(Notifier())
        watched = Watched(config)
        signals = stack.enter_context(Signals())
        parts = Parts(settings, own, directory, clock or Clock())
        log.info(f"starting up (v{__version__}): {parts.core.name} backend ({parts.core.reason})")
        if not config.watchlog:
            log.info(f"no watchlog is set: following {why_default(watched.paths[0])}")
        followers = parts.followers(watched.paths)
        for follower in followers:
            # Before the tables: to `reap`, a start that fails here again and again must not look like a running daemon.
            follower.open(waits=not config.once)
        latest = Latest()
        open_metrics(config, latest, stack)
        state = CapState(parts.caps, Path(config.state_directory) if config.write else None, parts.clock)
        state.read()
        tables = open_tables(config, parts.clock, parts.caps, handed) if config.write else []
        own.write_held()
        notices = Notices()
        caps = CapWatch(parts.caps, parts.clock, notices, state)
        caps.begin(tables)
        template = Template(config.value)
        publisher = Publisher(
            tables, left_tables(tables, config), lambda grant: template.render(grant, parts.clock.to_wall).decode()
        )
        control = open_control(settings, handed, stack)
        if control is not None:
            control.metrics = Text(latest)
        daemon = Daemon(
            logs=LogSet(followers, watched, parts.newcomers),
            guards=parts.guards,
            ledger=parts.ledger,
            publisher=publisher,
            clock=parts.clock,
            signals=signals,
            hints=parts.hints,
            notifier=notifier,
            reload=parts.reload,
            unexplained=Unexplained(publisher.files, parts.ledger, parts.clock),
            notices=notices,
            log_watch=LogWatch(
                notices,
                grace=config.grace,
                wall=parts.clock.wall,
                other=OtherSource(newest_entry) if not any(map(find_scheme, watched.paths)) else None,
            ),
            manual=parts.manual,
            caps=caps,
            core=parts.core.name,
            formats=parts.format_names,
            latest=latest,
            control=control,
            checkpoints=parts.checkpoints(),
        )
        try:
            if config.reprocess:
                reprocess(followers, parts.guards, parts.ledger, parts.clock, signals, own, dry=not config.write)
            if daemon.start():
                log.info(f"ready: {len(parts.ledger)} addresses may relay", extra=event("ready"))
                if background is not None:
                    background.ready()
                notifier.ready(daemon.state())
                if not config.once:
                    check_mta(config)
                    daemon.serve()
        finally:
            notifier.stopping()
            written = daemon.close()
        if daemon.at_end:
            log.info("the log has ended -- exiting")
        if signals.stop is not None:
            log.info(f"caught {signals.stop.name} -- exiting")
            if background is not None:
                background.failed(f"{program}: stopped by {signals.stop.name} before it was ready")
        log.info(f"counted {daemon.counted()}")
        return 0 if written else 1


class Parts:
    """Everything between logs and tables, made from the configuration."""

    def __init__(self, settings: Settings, own: OwnLog, directory: str, clock: Clock) -> None:
        config = settings.config
        site = site_formats(settings)
        self._directory = directory
        self._file = settings.file
        self._own = own
        self._config = config
        self.clock = clock
        self.counters = Counters()
        self.core = load_backend(config.core if "core" in settings.origins else None)
        self._tags = [tag for each in site.formats for tag in (*each.program, *each.tls_program)]
        self._formats = site.formats
        self.format_names = [each.name for each in site.formats]
        self._matcher = self.core.Matcher((*site.formats, LOGGERS), zone_table(config.log_timezone))
        self._logtime = (
            None if config.logtime is None else read_logtime(config.logtime, f"{settings.origin('logtime')}: ")
        )
        self._shape = read_shape(asdict(config.json), f"{settings.file}: ")
        netblocks = read_netblocks(config.mynetworks, config.postconf)
        self._tell_networks(netblocks)
        machine = read_machine()
        self.guards = Guards(config.guards, netblocks, machine, read_deny(config.deny), self.counters)
        self.manual = ManualRows(Path(config.state_directory) if config.write else None, clock)
        self.guards.deny_manually(self.manual.denials())
        self.caps = CapCounter(limits_of(settings))
        sessions = OpenSessions(config.max_session, session_ends(site.formats)) if config.count_sessions else None
        self.ledger = Ledger(config.grace, self.counters, sessions=sessions)
        self.ledger.sessions.on_unrecognised = self._stop_counting
        self._saves_sessions = config.count_sessions and config.write
        self.hints = Hints()
        # A raw name forges lines of any server, so its own need not be among the formats that are read.
        known = site.formats if config.catalogue else (*site.formats, *load_catalogue())
        self._raw_tags = [tag for each in known for tag in each.raw_names]
        self._forgeable: frozenset[str] = frozenset()
        """Logs into which a logging daemon writes line feeds as they are."""
        self._warn(site.warnings, filter(None, [cost(self.core, site)]), netblocks.notices, machine.notices)

    def followers(self, paths: Sequence[str]) -> list[Follower]:
        """One follower per log, at the start that the configuration sets, or at the position of an earlier run."""
        self._look_at_loggers(paths)
        if self._config.reprocess:
            return [self._follower(path, "begin") for path in paths]
        if self._saves_sessions:
            found = resume(self._config.checkpoint, paths, self.ledger, self.clock, self._follower)
            if found is not None:
                return found
        return [self._follower(path, "replay") for path in paths]

    def checkpoints(self) -> Checkpoints | None:
        """Who saves the open sessions, where they are counted and anything is written."""
        if self._saves_sessions:
            return Checkpoints(self._config.checkpoint, self.ledger, self.clock)
        return None

    def newcomers(self, paths: Sequence[str]) -> list[Follower]:
        """One follower a log that came while we ran: all that it holds is of now."""
        self._look_at_loggers(paths)
        found = [self._follower(path, "begin") for path in paths]
        for follower in found:
            log.info(f"{follower.path} is a new log; following it from its first line")
            follower.go_live()
        return found

    def _follower(self, path: str, start: Start | Position) -> Follower:
        return Follower(
            path,
            self.core,
            self._matcher,
            grace=self._config.grace,
            start=start,
            hints=self.hints,
            tags=self._tags,
            fold_past=not (self.guards.wants_events or self._config.count_sessions),
            logtime=self._logtime,
            shape=self._shape,
            formats=self._formats,
            raw_tags=self._raw_tags if path in self._forgeable and self._config.raw_line_feeds == "refuse" else (),
        )

    def _look_at_loggers(self, paths: Sequence[str]) -> None:
        """Warn of logging daemons that are set to write strangers' line feeds, and remember into which logs."""
        names = {os.path.abspath(path): path for path in paths if find_scheme(path) is None}  # noqa: PTH100 - any bytes
        findings = raw_line_feeds(list(names))
        self._warn(finding.text for finding in findings)
        self._forgeable |= {names[log] for finding in findings for log in finding.followed}

    def reload(self) -> bool:
        """Reopen our own log; reload mynetworks, guards and the deny list. False on an error.

        On an error all of them stay as they were, and the log says why. Other changes in the file need a restart.
        """
        self._own.reopen()
        try:
            settings = merge(load(self._file), ())
            site_formats(settings)
            fresh = absolute(settings.config, self._directory)
            netblocks = read_netblocks(fresh.mynetworks, fresh.postconf)
            machine = read_machine()
            limits = limits_of(settings)
            self.guards.reload(fresh.guards, netblocks, machine, read_deny(fresh.deny))
            self.caps.reload(limits)
            tell_caps(self.caps)
            self._tell_networks(netblocks)
        except PbsError as error:
            log.warning(f"reload failed, the previous settings stay in force: {error}")
            return False
        except Exception as error:
            # Each parser turns its errors into PbsError. One that does not must not end a running daemon.
            log.warning(
                f"reload failed, the previous settings stay in force: {type(error).__name__}: {error} (this is a bug; "
                "please report it)"
            )
            return False
        self._warn(netblocks.notices, machine.notices)
        log.info("reloaded mynetworks, guards, caps and deny list", extra=event("reloaded"))
        return True

    def _stop_counting(self, format_: str, host: str) -> None:
        where = f"{format_} at {host}" if host else format_
        log.warning(
            f"{where}: the ends of its sessions are not recognised, so its sessions are not counted and addresses stay "
            "for grace after a login; restore its default log lines (Dovecot: mail_log_prefix) and restart it, or set "
            "count_sessions = false (docs/FORMATS.md, Ends of sessions)"
        )

    def _tell_networks(self, netblocks: Netblocks) -> None:
        """The old program's words for the networks whose addresses get no grant, for --debug."""
        words = dict.fromkeys(netblocks.words)
        shown = ", ".join(f"`{word}'" for word in words)
        log.debug(f"Using {len(words)} value{'s'[: len(words) != 1]} for pre-authorized networks: {shown or 'none'}")

    def _warn(self, *notices: Iterable[str]) -> None:
        for notice in chain(*notices):
            log.warning(notice)


def open_control(settings: Settings, handed: Mapping[str, socket], stack: ExitStack) -> Control | None:
    """The control sockets, served until the stack ends; None, and our log says why, where there are none.

    That is a warning if control.directory is set, else in order: an ordinary user's daemon cannot use the default.
    None without a word for a daemon that writes nothing, next to which the real one runs, and for one that ends at
    the end of the log.
    """
    config = settings.config
    sockets = None
    if config.write and not config.once:
        sockets = open_sockets(Path(config.control.directory), handed)
        stack.callback(sockets.close)
    for name, each in handed.items():
        if sockets is None or name not in sockets.listeners:
            log.warning("the socket %s from systemd is not used", name)
            each.close()
    if sockets is None:
        return None
    wanted = settings.origin("control.directory") != DEFAULT
    log.log(logging.WARNING if wanted and not sockets.listeners else logging.INFO, "%s", sockets.words)
    if not sockets.listeners:
        return None
    control = Control(sockets.listeners)
    stack.callback(control.close)
    return control


def open_metrics(config: Config, latest: Latest, stack: ExitStack) -> None:
    """The ways out for metrics that are set, until the stack ends; under the same conditions as the control sockets.

    Raises PbsError for an address that nothing can listen on, or without the library.
    """
    keys = config.metrics
    if (keys.file is None and keys.listen is None) or not config.write or config.once:
        return
    stack.callback(Ways(latest, keys.file, keys.listen).close)
    log.info(f"metrics: {' and '.join(filter(None, [keys.file, keys.listen and f'http://{keys.listen}/metrics']))}")
