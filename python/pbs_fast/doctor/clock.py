"""Check `log.time` of the machine: is its clock synchronised? The kernel says so (adjtimex(2))."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import Finding

#: More bytes than any `struct timex` has; with `modes`, its first number, 0 nothing is changed.
_STRUCT = 512
#: What adjtimex returns while nothing synchronises the clock.
_TIME_ERROR = 5


def check(_: Site) -> Iterator[Finding]:
    """Whether something keeps the clock in step."""
    state = clock_state()
    if state is None:
        yield Finding("log.time", "skip", "this system does not tell whether its clock is synchronised")
    elif state == _TIME_ERROR:
        yield Finding(
            "log.time",
            "note",
            "the kernel says that nothing synchronises this machine's clock",
            "run an NTP client, unless the host of this machine or container does that",
        )
    else:
        yield Finding("log.time", "ok", "this machine's clock is synchronised")


def clock_state() -> int | None:
    """What adjtimex returns; None where there is no such call, or it may not be used."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return None
    state = adjtimex(ctypes.create_string_buffer(_STRUCT))
    return None if state < 0 else int(state)
