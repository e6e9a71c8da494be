"""`investigate`: the logs' part of `why`, with the guards and the ledger of the daemon's replay."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.config import Settings
from pbs_fast.control.why.findings import Findings, Line, Login
from pbs_fast.control.why.needles import Needles, for_addresses, for_user
from pbs_fast.control.why.search import About, Reading, search
from pbs_fast.errors import PbsError
from pbs_fast.events import Batch
from pbs_fast.guards import Guards, read_machine
from pbs_fast.guards.deny import read_deny
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.health.loggers import raw_line_feeds
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime
from pbs_fast.matching.site import site_formats
from pbs_fast.matching.zones import zone_table
from pbs_fast.replay.replayer import Replayer
from pbs_fast.sources.registry import find_scheme
from pbs_fast.sources.watched import Watched
from pbs_fast.util.text import fold_user

if TYPE_CHECKING:
    from pbs_fast.events import Event
    from pbs_fast.formats import Format
    from pbs_fast.guards import Refusal


class Investigation:
    """The logs of one configuration, ready to be searched. Raises PbsError where the configuration is wrong."""

    def __init__(self, settings: Settings, logs: Sequence[str] | None = None) -> None:
        """`logs` are by default those that the configuration names, wildcards resolved."""
        config = settings.config
        self._settings = settings
        self.logs = list(Watched(config).paths if logs is None else logs)
        self._formats: tuple[Format, ...] = site_formats(settings).formats
        core = load_backend(config.core if "core" in settings.origins else None)
        origin = f"{settings.origin('logtime')}: "
        forgeable = self._forgeable()
        raw = [tag for each in self._formats for tag in each.raw_names] if config.raw_line_feeds == "refuse" else []
        self._reading = Reading(
            core,
            core.Matcher(self._formats, zone_table(config.log_timezone)),
            None if config.logtime is None else read_logtime(config.logtime, origin),
            [tag for each in self._formats for tag in (*each.program, *each.tls_program)],
            lambda path: raw if path in forgeable else (),
        )

    def _forgeable(self) -> frozenset[str]:
        """The logs into which a logging daemon writes line feeds of strangers."""
        names = {os.path.abspath(path): path for path in self.logs if find_scheme(path) is None}  # noqa: PTH100
        return frozenset(names[log] for finding in raw_line_feeds(list(names)) for log in finding.followed)

    def about(self, addresses: Iterable[str] = (), user: str | None = None, *, since: int, now: int) -> Findings:
        """What the logs say of canonical addresses, or of a login, from `since` to `now` (seconds since the epoch)."""
        config = self._settings.config
        found = Findings(since, now, config.grace, counted_sessions=config.count_sessions)
        whom = About(frozenset(addresses), None if user is None else fold_user(user))
        judge = _Judge(self._settings, found)

        def needles() -> Needles | None:
            if whom.user is not None:
                return for_user(whom.user, self._formats)
            return for_addresses(sorted(whom.addresses), self._formats)

        search(whom, self.logs, self._reading, needles, judge.take, found)
        judge.finish()
        return found


class _Judge:
    """What the daemon's replay would make of the logins that were found."""

    def __init__(self, settings: Settings, found: Findings) -> None:
        self._found = found
        self._refused: list[str] = []
        self._past = Ledger(settings.config.grace)
        self._replayer: Replayer | None = None
        try:
            self._replayer = Replayer(self._past, _guards(settings), on_refusal=self._on_refusal)
        except PbsError as error:
            found.notes.append(f"the guards could not be asked: {error}")

    def take(self, event: Event, line: Line, reference: int) -> None:
        if event.timestamp is None or event.ip is None or event.timestamp < self._found.since:
            return
        self._refused.clear()
        if self._replayer is not None:
            self._replayer.take(_row(line.path, event), reference)
        guard = self._refused[0] if self._refused else ""
        login = Login(event.timestamp, event.ip, event.user, event.host, event.format, guard, line)
        self._found.logins.append(login)

    def finish(self) -> None:
        for ip, row in self._past.rows().items():
            self._found.ends[ip] = row.expires
        if self._replayer is not None:
            self._replayer.close()

    def _on_refusal(self, refused: Sequence[Refusal]) -> None:
        self._refused += [each.guard for each in refused]


def _guards(settings: Settings) -> Guards:
    config = settings.config
    netblocks = read_netblocks(config.mynetworks, config.postconf)
    return Guards(config.guards, netblocks, read_machine(), read_deny(config.deny))


def _row(source: str, event: Event) -> Batch:
    """A login as the row that the daemon's replay would get."""
    when = event.timestamp or 0
    return Batch(
        source, [event.ip or ""], [when], [when], [1], ["login"], [event.format], [event.host], [event.offset],
        [event.tls], [event.loop], [event.session], [event.user], [event.user], [1], [""],
    )  # fmt: skip


#: Makes the log's part, so that commands and tests may hand in another.
MakeInvestigation = Callable[[Settings], Investigation]
