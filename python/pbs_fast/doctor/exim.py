"""Check `exim.wired`: does an Exim of this machine name our table? `exim -bP config` prints its configuration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Final

from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.tables.registry import TableSpec
from pbs_fast.util.commands import find_exim, run

EXIM = "exim.wired"
_TIMEOUT: Final = 20.0
_LIMIT: Final = 4 << 20
#: Look-ups by which Exim reads a file of each type (docs/MTA-EXIM.md).
_LOOKUPS = {
    "cdb": ("cdb",),
    "lmdb": ("lmdb",),
    "hash": ("dbmnz",),
    "text": ("lsearch", "iplsearch"),
}


def check(site: Site) -> Iterator[Finding]:
    """Only where a table is written with Exim's keys."""
    tables = [spec for spec in site.specs if spec.option("keys") in ("exim", "iplsearch")]
    if not tables:
        return
    program = find_exim()
    if program is None:
        yield Finding(EXIM, "skip", f"{CANNOT_TELL}: there is no Exim here that would read {tables[0]}")
        return
    try:
        done = run([program, "-bP", "config"], timeout=_TIMEOUT, limit=_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        yield Finding(EXIM, "skip", f"{CANNOT_TELL}: {program} -bP config does not answer")
        return
    if done.status or not done.output:
        yield Finding(EXIM, "skip", f"{CANNOT_TELL}: {program} -bP config: {done.complaint or 'it prints nothing'}")
        return
    for spec in tables:
        yield judge(done.text, spec)


def judge(config: str, spec: TableSpec) -> Finding:
    """What a configuration of Exim, macros expanded, says of one table."""
    file = str(spec.file)
    lookups = _LOOKUPS.get(spec.type, ())
    lines = [line.strip() for line in config.splitlines() if file in line and not line.lstrip().startswith("#")]
    if not lines:
        return Finding(
            EXIM,
            "fail",
            f"Exim's configuration names {file} nowhere, so nobody can relay by POP before SMTP",
            "add the lines of docs/MTA-EXIM.md to its ACL for RCPT",
        )
    if any(f"{lookup};{file}" in line or f"{lookup}{{{file}" in line for lookup in lookups for line in lines):
        return Finding(EXIM, "ok", f"Exim looks {file} up")
    if any(f";{file}" in line for line in lines):
        return Finding(
            EXIM,
            "fail",
            f"Exim reads {file} by another look-up than {' or '.join(lookups)}: {lines[0]}",
            f"write net-{lookups[0] if lookups else spec.type};{file} (docs/MTA-EXIM.md)",
        )
    return Finding(EXIM, "skip", f"{CANNOT_TELL}: Exim's configuration names {file} in: {lines[0]}")
