"""All checks, in the order in which they are shown. A new one is one line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pbs_fast.doctor import caps, clock, daemon, docker, exim, logs, postfix, share, tables, unit
from pbs_fast.doctor.account import findings_as
from pbs_fast.doctor.hub import HUB
from pbs_fast.doctor.site import Site
from pbs_fast.errors import PbsError
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.util.accounts import user_name

Check = Callable[[Site], Iterable[Finding]]


def check_logs(site: Site) -> Iterable[Finding]:
    """The logs, as the account of the service sees them."""
    if site.trouble:
        return [Finding("log.read", "skip", f"{CANNOT_TELL}: no account is known that would read them")]
    return findings_as(site.account, lambda: logs.look(site.settings, Path(site.root)))


#: The code of a finding that stands for the check where it cannot look, and the check.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("log.read", check_logs),
    ("log.time", clock.check),
    ("table.read", tables.check_read),
    ("table.owner", tables.check_owner),
    ("postfix.wired", postfix.check),
    ("exim.wired", exim.check),
    ("daemon", daemon.check),
    ("guard.docker", docker.check),
    (HUB, share.check_hubs),
    (share.NODES, share.check_nodes),
    ("unit", unit.check),
    ("caps", caps.check),
)


def examine(site: Site) -> list[Finding]:
    """What all checks find. A check that cannot look says so; the others look all the same."""
    found: list[Finding] = []
    if os.geteuid() != 0:
        found.append(
            Finding(
                "account",
                "note",
                f"run as {user_name(os.geteuid())}: what follows is what this account sees",
                "run it as root to see what the service's and the MTA's accounts see",
            )
        )
    if site.trouble:
        found.append(Finding("account", "fail", site.trouble, "pbs-fast does not start like this"))
    for code, check in CHECKS:
        try:
            found += check(site)
        except PbsError as error:
            found.append(Finding(code, "skip", f"{CANNOT_TELL}: {error}"))
        except OSError as error:
            named = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            found.append(Finding(code, "skip", f"{CANNOT_TELL}: {named}{error.strerror}"))
    return found
