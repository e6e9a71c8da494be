"""How the session ends of each format are recognised, which decides what logins `count_sessions` may count.

A login whose end is not logged would keep its address for `max_session`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pbs_fast.formats import Format


def session_ends(catalogue: Iterable[Format]) -> dict[str, Literal["address", "session", "process"]]:
    """Format -> what the lines that end its sessions name: the client's address, or the session, or the process.

    Formats without such lines are not there, nor those whose sites need not write them.
    """
    found: dict[str, Literal["address", "session", "process"]] = {}
    for each in catalogue:
        if not each.counted:
            continue
        if each.session_end:
            found[each.name] = "process"
        elif ends := (*each.logout, *each.line_logout):
            found[each.name] = "address" if all("(?P<ip>" in pattern for pattern in ends) else "session"
    return found
