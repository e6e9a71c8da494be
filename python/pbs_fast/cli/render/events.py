"""One event of `watch` as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pbs_fast.cli.render.layout import PLAIN, Look, plural
from pbs_fast.cli.render.times import clock, parse_time
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.control.replies import Event

_COLOURS = {"granted": "green", "refused": "yellow", "revoked": "yellow", "limit": "red", "cap": "red", "drift": "red"}
_COLOURS |= dict.fromkeys(("table_fails", "log_gone", "hub_down", "node_silent", "warning"), "red")
_WIDEST = 11


def as_text(event: Event, look: Look = PLAIN) -> str:
    """`10:12:17  granted      203.0.113.5 …`: the daemon's own line where it has one, else the event's values."""
    kind = event["kind"]
    text = event.get("text")
    if text is None:
        shown = ("ip", "user", "host", "format", "guard", "until", "log", "table", "why")
        values: dict[str, object] = {key: event.get(key) for key in shown}
        if (until := event.get("until")) is not None:
            values["until"] = clock(until, event["at"])
        text = " ".join(f"{key}={value}" for key, value in values.items() if value not in (None, ""))
    when = parse_time(event["at"]).strftime("%H:%M:%S")
    name = f"{printable(kind):<{_WIDEST}}"
    return (
        f"{when}  {look.paint(name, _COLOURS[kind]) if kind in _COLOURS else name}  {printable(text)}".rstrip() + "\n"
    )


def lost(count: int) -> str:
    """What a watcher that was too slow is told."""
    return f"{plural(count, 'event')} lost: this command was too slow to take them\n"
