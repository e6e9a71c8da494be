"""The report as one JSON object (docs/REPORT.md describes it)."""

from __future__ import annotations

import json
from typing import Any

from pbs_fast.report.findings import QUANTILES, Findings, LoginFound, quantile
from pbs_fast.report.plan import plan
from pbs_fast.report.verdicts import VERDICTS
from pbs_fast.util.text import utc

#: Goes up when a key changes its meaning or goes.
VERSION = 1


def as_json(found: Findings) -> str:
    """The object, in ASCII."""
    return json.dumps(record(found), indent=2) + "\n"


def record(found: Findings) -> dict[str, Any]:
    """The object's content. Times are ISO 8601 in UTC, durations seconds."""
    hourly = [(n, 1) for n in found.hourly]
    return {
        "version": VERSION,
        "from": utc(found.first),
        "to": utc(found.last),
        "lines": found.lines,
        "logins": found.login_lines,
        "grants": found.granted,
        "users": len(found.logins),
        "grace": found.grace,
        "pseudonyms": found.pseudonyms,
        "logs_skipped": found.skipped,
        "messages": {"all": found.relayed, **found.ways, "certain": found.certain},
        "days": [
            {"day": way.day.isoformat(), "grant": way.grant, "auth": way.auth, "mynetworks": way.mynetworks}
            for way in found.days
        ],
        "verdicts": {
            verdict: {
                "logins": len(found.of(verdict)),
                "messages": sum(login.messages for login in found.of(verdict)),
            }
            for verdict in VERDICTS
        },
        "users_found": [_login(login) for login in found.logins],
        "since_login": {str(share): quantile(found.delays, share) for share in QUANTILES} if found.delays else {},
        "shorter_grace": [each._asdict() for each in found.graces],
        "proposed_grace": found.proposed,
        "recipients_an_hour": {str(share): quantile(hourly, share) for share in QUANTILES} if hourly else {},
        "caps": [each._asdict() for each in found.caps],
        "plan": [step._asdict() for step in plan(found)],
    }


def _login(login: LoginFound) -> dict[str, Any]:
    return {**login._asdict(), "first": utc(login.first), "last": utc(login.last)}
