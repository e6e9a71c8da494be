"""The two threads of one hub, without a daemon: what keeps them from their work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mta import PATIENCE
from pbs_fast.share.hub import CaughtUp, Connected, Exchanged, Failed, Hub, Lost
from pbs_fast.share.inbox import Read
from pbs_fast.share.message import Row, Writer, stream_of
from pbs_fast.share.outbox import Outgoing
from pbs_fast.share.spec import Secrets, parse_hub
from share.hubs import PASSWORD, SECRET, SITE


def used(
    url: str,
    *,
    node: str = "pop1",
    password: str = PASSWORD,
    ca: Path | None = None,
    until: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Write a message to a hub and read the stream of `pop2`; what the threads say is in the way, one of each at most.

    Ends when both have come to an end, or `until` says so; does not wait for the threads.
    """
    secret = SECRET.encode()
    hub = Hub(
        parse_hub(url),
        site=SITE,
        node=node,
        secrets=Secrets((secret,), password),
        ca=None if ca is None else str(ca),
        now=time.monotonic,
        wake=lambda: None,
        jitter=lambda: 0.0,
    )
    row = Row("192.0.2.1", 1000, None, "dovecot", "mx1", 1)
    [entry] = Writer(stream_of(SITE, node), "0" * 8, secret).rows(time.time_ns() // 1_000_000, [row])
    said: list[str] = []
    wrote = read = given = False
    hub.start()
    end = time.monotonic() + PATIENCE
    try:
        while not (wrote and read) and not until():
            assert time.monotonic() < end, f"{url}: neither works nor fails ({said})"
            came = hub.take()
            match came:
                case None:
                    time.sleep(0.002)
                case Connected():
                    hub.read([Read("pop2", 1, "0-0")])
                case CaughtUp():
                    read = True
                case Exchanged() if given:
                    wrote = True
                case Exchanged():
                    given = True
                    hub.give([Outgoing(entry, None)])
                case Failed(reason):
                    said += [] if wrote else [reason]
                    wrote = True
                case Lost(reason):
                    said += [] if read else [reason]
                    read = True
    finally:
        hub.close()
    return said
