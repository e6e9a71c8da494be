"""Check `caps`: whom would the caps have refused on the last day, by the logs alone?

A cap below the 99.9 % quantile of what logins send is a cap that ordinary mail meets. Looks as the service's account.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pbs_fast.caps.limits import Limits
from pbs_fast.daemon.cap_watch import limits_of
from pbs_fast.doctor.account import findings_as
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime
from pbs_fast.matching.site import site_formats
from pbs_fast.matching.zones import zone_table
from pbs_fast.report.run import report
from pbs_fast.sources.registry import find_scheme
from pbs_fast.sources.watched import Watched
from pbs_fast.util.text import fold_user, plural, printable

if TYPE_CHECKING:
    from pbs_fast.config import Settings
    from pbs_fast.doctor.site import Site
    from pbs_fast.report.findings import Findings

CAPS: Final = "caps"
#: Seconds of the logs, and bytes of all of them together, that are looked at.
WINDOW: Final = 86_400
MOST_BYTES: Final = 512 << 20
#: The share of logins that a cap may meet.
SHARE: Final = 0.001
#: Logins that are named.
_NAMED: Final = 5


def check(site: Site) -> Iterator[Finding]:
    """The caps of a login's recipients, against what the logs of the last day show. Nothing without caps."""
    limits = limits_of(site.settings)
    if not limits:
        return
    if site.trouble:
        yield Finding(CAPS, "skip", f"{CANNOT_TELL}: no account is known that would read the logs")
        return
    yield from findings_as(site.account, lambda: look(site.settings, limits))


def look(settings: Settings, limits: Limits) -> Iterator[Finding]:
    """What the logs say. Raises PbsError for a log that cannot be read."""
    config = settings.config
    paths = [path for path in Watched(config).paths if find_scheme(path) is None and os.path.isfile(path)]  # noqa: PTH113
    words = " ".join(map(printable, paths)) or "LOG"
    advice = f"pbs-fast report --caps --since 1d {words}"
    if not paths or sum(os.path.getsize(path) for path in paths) > MOST_BYTES:  # noqa: PTH202 - any bytes
        why = "no followed log is a file" if not paths else "the logs are large"
        yield Finding(CAPS, "skip", f"{CANNOT_TELL} whom the caps would refuse: {why}", f"run it by hand: {advice}")
        return
    backend = load_backend(config.core if "core" in settings.origins else None)
    found = report(
        paths,
        backend,
        backend.Matcher(site_formats(settings).formats, zone_table(config.log_timezone)),
        read_netblocks(config.mynetworks, config.postconf),
        grace=config.grace,
        since=time.time() - WINDOW,
        zone=config.log_timezone,
        now=None,
        threads=1,
        logtime=None if config.logtime is None else read_logtime(config.logtime, f"{settings.origin('logtime')}: "),
        rates=[cap.rate for cap in limits.caps.values() if cap.of == "user" and not cap.messages],
    )
    yield from judge(found, limits, advice)


def judge(found: Findings, limits: Limits, advice: str) -> Iterator[Finding]:
    """The findings about each cap of a login's recipients."""
    senders = len(found.hourly)
    if not senders:
        yield Finding(CAPS, "note", "no login relayed on the last day, as far as the logs tell")
        return
    refused = {each.rate: each for each in found.caps if each.of == "user"}
    well = []
    for cap in limits.caps.values():
        if cap.of != "user" or cap.messages:
            continue
        over = [name for name in refused[cap.written].logins if cap in limits.of_user(fold_user(name), "")]
        if len(over) <= SHARE * senders:
            well.append(cap.written)
            continue
        more = f" and {len(over) - _NAMED:,} more" if len(over) > _NAMED else ""
        yield Finding(
            CAPS,
            "warn",
            f"the cap {cap.written} would have refused mail of {plural(len(over), 'login')} of {senders:,} that "
            f"relayed on the last day: {', '.join(map(printable, over[:_NAMED]))}{more}",
            f"raise it, or name them in [[caps.except]], unless they are abused; see: {advice}",
        )
    if well:
        yield Finding(CAPS, "ok", f"{', '.join(well)}: ordinary mail of the last day stays below")
