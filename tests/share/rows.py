"""Rows with their ends: what a node's table holds, what a hub holds, and whether that is the same."""

from __future__ import annotations

import re
from datetime import datetime

from daemon.controlled import asked, listed
from mta import wait_for
from pbs_fast.control.protocol import Metrics
from pbs_fast.share.message import Message, decode
from share.hubs import SECRET, SITE, Hub
from share.nodes import Node

#: Seconds by which the same end may differ: it is rounded up to a whole second of each node's clock.
ROUNDED = 2.0

Ends = dict[str, float]


def ends(node: Node) -> Ends:
    """Address -> end of its row in the table of a daemon that runs, in seconds since the epoch on this machine's clock.

    What the daemon lists must be what the table holds.
    """
    rows = listed(node)
    assert sorted(rows) == node.rows()
    ahead = node.clocks.wall if node.clocks else 0.0
    return {ip: datetime.fromisoformat(row["until"] or "").timestamp() - ahead for ip, row in rows.items()}


def at_hub(hub: Hub, *names: str, secret: str = SECRET, ahead: float = 0.0) -> Ends:
    """What the streams of these nodes say of rows; `ahead`: seconds by which the hub's clock is ahead of ours."""
    found: Ends = {}
    with hub.admin as client:
        for name in names:
            stream = hub.stream(name, SITE)
            for _, fields in client.xrange(stream):
                message = decode(name, stream, fields[b"m"], fields[b"s"], [secret.encode()])
                if isinstance(message, Message):
                    for row in message.rows:
                        end = (message.time + row.left) / 1000 - ahead
                        found[row.ip] = max(end, found.get(row.ip, end))
    return found


def same(some: Ends, others: Ends) -> bool:
    """The same addresses, each with the same end."""
    return some.keys() == others.keys() and all(abs(some[ip] - others[ip]) <= ROUNDED for ip in some)


def wait_same(*nodes: Node, ips: set[str] | None = None) -> None:
    """Wait until the tables of all are equal, and hold these addresses."""

    def equal() -> bool:
        try:
            first, *others = map(ends, nodes)
        except AssertionError:  # a row came between two looks
            return False
        return (ips is None or set(first) == ips) and all(same(first, other) for other in others)

    try:
        wait_for("equal tables", equal)
    except AssertionError as error:
        tables = "\n".join(f"{node.name}: {ends(node)}\n{node.said()}" for node in nodes)
        raise AssertionError(f"{error} {ips}\n{tables}") from None


def metric(node: Node, name: str, *labels: str) -> float:
    """The sum of a metric's series that have all these texts in their labels."""
    text = asked(node, Metrics())["text"]
    series = re.findall(rf"(?m)^pbs_fast_{name}(\{{.*\}})? (\S+)$", text)
    return sum(float(value) for found, value in series if all(label in found for label in labels))
