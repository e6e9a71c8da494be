"""Check `daemon`: what the running daemon says of itself, by its control socket; and gateways, for `guard.docker`.

Without a daemon to ask, or the right to, everything else is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pbs_fast.control.client import AnsweredError, ControlError, NotRunningError, SilentError, ask, socket_of, stream
from pbs_fast.control.protocol import List, Status
from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.util.durations import rough
from pbs_fast.util.text import plural

if TYPE_CHECKING:
    from pbs_fast.control import replies
    from pbs_fast.tables import TableSpec

DAEMON, DOCKER = "daemon", "guard.docker"
#: Seconds that a reply may take: a daemon in a long start answers late.
_PATIENCE: Final = 10.0
#: Logins from a gateway without any that was granted: all clients are hidden.
MANY_REFUSED: Final = 20


def check(site: Site) -> Iterator[Finding]:
    """Ask it how it is."""
    request = Status()
    path = socket_of(site.config.control.directory, request)
    try:
        status = ask(path, request, patience=_PATIENCE)
    except SilentError as error:
        yield Finding(DAEMON, "fail", str(error), "see its log; systemctl restart pbs-fast")
        return
    except AnsweredError as error:
        yield Finding(DAEMON, "warn", f"{path}: {error}", "wait until its start has ended, and look again")
        return
    except NotRunningError as error:
        # `table.owner` tells of files; a table in memory ends with its daemon.
        if site.specs and all(spec.file is None for spec in site.specs):
            yield Finding(
                DAEMON,
                "fail",
                f"{error}; until then nobody can relay by POP before SMTP",
                "start it: systemctl start pbs-fast",
            )
        else:
            yield Finding(DAEMON, "skip", f"{CANNOT_TELL}: {error}")
        return
    except ControlError as error:
        yield Finding(DAEMON, "skip", f"{CANNOT_TELL}: {error}")
        return
    yield from of_status(status, site.specs)
    yield from of_refusals(status["refused"], status["outcomes"])


def of_status(status: replies.Status, specs: Sequence[TableSpec]) -> Iterator[Finding]:
    """Does it work, and with this configuration?"""
    faults = []
    if not status["ready"]:
        faults.append(Finding(DAEMON, "warn", f"pid {status['pid']} still reads the logs of its start", "look again"))
    for table in status["tables"]:
        if table["failing"] is not None:
            since = "" if table["failing_s"] is None else f" for {rough(table['failing_s'])}"
            faults.append(Finding(DAEMON, "fail", f"{table['spec']} fails{since}: {table['failing']}", "see its log"))
    running, wanted = {table["spec"] for table in status["tables"]}, {str(spec) for spec in specs}
    if running != wanted:
        faults.append(
            Finding(
                DAEMON,
                "warn",
                f"pid {status['pid']} writes {', '.join(sorted(running)) or 'no table'}, and the configuration names "
                f"{', '.join(sorted(wanted))}",
                "restart it: systemctl restart pbs-fast",
            )
        )
    faults += [
        Finding(DAEMON, "warn", f"{notice['code']} since {notice['since']}", notice["text"])
        for notice in status["notices"]
    ]
    yield from faults
    if not faults:
        rows = plural(status["rows"]["total"], "address", "addresses")
        yield Finding(DAEMON, "ok", f"pid {status['pid']}, {status['version']}, is ready: {rows} may relay")


def of_refusals(refused: dict[str, int], outcomes: dict[str, int]) -> Iterator[Finding]:
    """Do logins come from a gateway, which hides the clients?"""
    logins = refused.get("gateway", 0)
    if not logins:
        return
    others = sum(outcomes.values()) - sum(refused.values())
    evidence = f"the guard gateway has refused {logins:,} logins: a container's proxy hides the clients behind it"
    advice = (
        "let the proxy pass the client's address on (PROXY protocol; Dovecot: haproxy_trusted_networks), or list it in "
        "guards.proxies"
    )
    yield Finding(DOCKER, "fail" if logins >= MANY_REFUSED and not others else "warn", evidence, advice)


def a_row(directory: str) -> str | None:
    """An address that may relay, as the daemon says; None where it says nothing."""
    request = List()
    try:
        for page in stream(socket_of(directory, request), request, patience=_PATIENCE):
            return next((row["ip"] for row in page["rows"]), None)
    except ControlError:
        return None
    return None
