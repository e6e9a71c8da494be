"""The parts between logs and tables, made from the configuration: backend, guards, ledger, followers; and their reload.

Raises PbsError with one line for the user.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pbs_fast.caps.counter import CapCounter
from pbs_fast.config import Settings, load, merge
from pbs_fast.daemon.cap_watch import limits_of, tell_caps
from pbs_fast.daemon.checkpoint import Checkpoints
from pbs_fast.daemon.follower import Follower
from pbs_fast.daemon.manual import ManualRows
from pbs_fast.daemon.paths import absolute
from pbs_fast.daemon.resume import resume
from pbs_fast.errors import PbsError
from pbs_fast.events import Counters
from pbs_fast.formats.ends import session_ends
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.guards import Guards, read_machine
from pbs_fast.guards.deny import read_deny
from pbs_fast.guards.netblocks import Netblocks, read_netblocks
from pbs_fast.health.loggers import raw_line_feeds
from pbs_fast.health.lost_lines import LOGGERS
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import OpenSessions
from pbs_fast.log.handlers import OwnLog
from pbs_fast.log.records import event
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime, read_shape
from pbs_fast.matching.site import cost, site_formats
from pbs_fast.matching.zones import zone_table
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.protocol import Start
from pbs_fast.sources.registry import find_scheme
from pbs_fast.sources.wakeup import Hints
from pbs_fast.util.clock import Clock

if TYPE_CHECKING:
    from pbs_fast.config.model import Share as ShareKeys
    from pbs_fast.daemon.share import Share

log = logging.getLogger(__name__)


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
        self.guards = Guards(
            config.guards, netblocks, machine, read_deny(config.deny), self.counters, self.core.near_addresses
        )
        self.caps = CapCounter(limits_of(settings))
        sessions = OpenSessions(config.max_session, session_ends(site.formats)) if config.count_sessions else None
        self.ledger = Ledger(config.grace, self.counters, sessions=sessions)
        state = Path(config.state_directory) if config.write else None
        self.manual = ManualRows(state, clock, self.ledger.window)
        self.guards.deny_manually(self.manual.denials())
        self.ledger.sessions.on_unrecognised = self._stop_counting
        self.share: Share | None = None
        """Set once it is made."""
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
            sessions=self._config.count_sessions,
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
        """Reopen our own log; reload mynetworks, guards, caps and the deny list. False on an error.

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
            self._reload_share(fresh.share)
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
        more = ", share.from" if self.share is not None and self.share.links else ""
        log.info(f"reloaded mynetworks, guards, caps and deny list{more}", extra=event("reloaded"))
        return True

    def _reload_share(self, keys: ShareKeys) -> None:
        if self.share is None or not self.share.links:
            return
        self.share.trust(keys.from_)
        if replace(keys, from_=()) != replace(self._config.share, from_=()):
            log.warning("of [share] a reload only takes over from; for the other changes: systemctl restart pbs-fast")

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
