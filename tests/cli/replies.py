"""Replies of a daemon, as tests of the commands need them: the mock-ups of a mail hub at 10:31 on 30 November 2026."""

from __future__ import annotations

import copy
from typing import Any

from pbs_fast.control.replies import Row, Status
from pbs_fast.control.why_reply import Why

NOW = "2026-11-30T10:21:13.000Z"

STATUS: Status = {
    "v": 1,
    "version": "0.2.0",
    "pid": 812,
    "started": "2026-11-27T06:21:13.000Z",
    "now": NOW,
    "ready": True,
    "turned_s": 0.1,
    "core": "rust",
    "node": None,
    "rows": {
        "total": 4812,
        "own": 3970,
        "hub": 842,
        "recovered": 0,
        "manual": 0,
        "limit": 1_000_000,
        "new_last_minute": 61,
        "new_limit": 10_000,
    },
    "sessions_open": None,
    "logs": [
        {
            "name": "/var/log/mail.log",
            "state": "following",
            "lines": 320_000_000,
            "lines_per_s": 1204.4,
            "behind_bytes": 0,
            "last_line": NOW,
            "last_login": "2026-11-30T10:21:12.600Z",
            "logins": {"courier-imap": 18, "dovecot": 982},
            "missed": {"no-pattern": 37},
            "faults": {},
            "drift": None,
            "coverage": {"complete": True, "reason": "read back to 08:15"},
        }
    ],
    "tables": [
        {
            "spec": "lmdb:/var/lib/pbs-fast/relay",
            "rows": 4812,
            "waiting": 0,
            "last_write": "2026-11-30T10:21:12.600Z",
            "failing": None,
            "failing_s": None,
            "served": None,
        },
        {
            "spec": "policy:unix:pbs/policy",
            "rows": 4812,
            "waiting": 0,
            "last_write": None,
            "failing": None,
            "failing_s": None,
            "served": {"clients": 37, "requests": 20_114, "recipients_per_s": 2.1},
        },
    ],
    "hubs": [],
    "nodes": [],
    "caps": None,
    "denials": [],
    "logins": 55_000,
    "outcomes": {"granted": 54_944, "refused": 56},
    "refused": {"gateway": 12, "deny": 41, "max_users_per_address": 3, "own": 0},
    "notices": [],
}

ROW: Row = {
    "ip": "203.0.113.5",
    "user": "anna@example.org",
    "since": "2026-11-30T10:12:17.000Z",
    "until": "2026-11-30T10:42:17.000Z",
    "format": "dovecot",
    "host": "mx1",
    "node": None,
    "origin": "own",
}

WHY: Why = {
    "ip": "203.0.113.5",
    "user": None,
    "now": NOW,
    "ready": True,
    "grace_s": 1800,
    "window_s": 1800,
    "guard": None,
    "rows": [ROW],
    "refusals": [],
    "refused": {},
    "refusals_since": None,
    "denials": [],
    "tables": [
        {"spec": "lmdb:/var/lib/pbs-fast/relay", "value": "ok", "waiting": False, "failing": None},
        {"spec": "policy:unix:pbs/policy", "value": "ok", "waiting": False, "failing": None},
    ],
    "logs": ["/var/log/mail.log"],
}


def status(**changes: Any) -> Status:
    """STATUS with other values."""
    return {**copy.deepcopy(STATUS), **changes}  # type: ignore[typeddict-item]


def why(**changes: Any) -> Why:
    """WHY with other values."""
    return {**copy.deepcopy(WHY), **changes}  # type: ignore[typeddict-item]


def row(**changes: Any) -> Row:
    """ROW with other values."""
    return {**ROW, **changes}  # type: ignore[typeddict-item]
