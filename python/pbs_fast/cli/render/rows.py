"""The rows of the daemon as text, and in an order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pbs_fast.cli.render.layout import PLAIN, Look, table
from pbs_fast.cli.render.times import clock
from pbs_fast.util.addresses import parse

if TYPE_CHECKING:
    from pbs_fast.control.replies import Row

#: `--sort` -> the key of a row. What is not known comes last; addresses in the order of their numbers.
ORDERS: dict[str, Callable[[Row], Any]] = {
    "address": lambda row: parse(row["ip"]) or (0, 0),
    "user": lambda row: (row["user"] is None, row["user"] or "", parse(row["ip"]) or (0, 0)),
    "since": lambda row: (row["since"] is None, row["since"] or "", parse(row["ip"]) or (0, 0)),
    "until": lambda row: (row["until"] is None, row["until"] or "", parse(row["ip"]) or (0, 0)),
    "format": lambda row: (row["format"] is None, row["format"] or "", parse(row["ip"]) or (0, 0)),
}

_ORIGINS = {"own": "", "hub": "another node", "recovered": "found at the start", "manual": "granted by hand"}


def as_text(rows: Sequence[Row], now: str, look: Look = PLAIN) -> str:
    """One line a row, under a header; `now` decides which times need a date."""
    if not rows:
        return "no address may relay\n"
    return table(("ADDRESS", "USER", "SINCE", "UNTIL", "FORMAT", ""), _cells(rows, now), look)


def _cells(rows: Sequence[Row], now: str) -> Iterable[list[str]]:
    for row in rows:
        origin = f"node {row['node']}" if row["node"] is not None else _ORIGINS.get(row["origin"], row["origin"])
        yield [
            row["ip"],
            row["user"] or "-",
            "-" if row["since"] is None else clock(row["since"], now),
            "session open" if row["until"] is None else clock(row["until"], now),
            row["format"] or "-",
            origin,
        ]
