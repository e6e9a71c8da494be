"""The short replies as text: the rows of `list`, an event of `watch`, what `revoke`, `grant` and `reload` have done."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pbs_fast.cli.render.layout import PLAIN, Look, between, clock, paragraph, parse_time, plural, table
from pbs_fast.util.addresses import parse
from pbs_fast.util.durations import exact
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.control.replies import Event, Granted, Node, Reloaded, Revoked, Row, Undone

_COLOURS = {"granted": "green", "refused": "yellow", "revoked": "yellow", "limit": "red", "cap": "red", "drift": "red"}
_COLOURS |= dict.fromkeys(("table_fails", "log_gone", "hub_down", "node_silent", "warning"), "red")
_WIDEST = 11
#: Nodes that are named in one reply.
_NAMED_NODES = 10
#: `--sort` -> the key of a row. What is not known comes last; addresses in the order of their numbers.
ORDERS: dict[str, Callable[[Row], Any]] = {
    "address": lambda row: parse(row["ip"]) or (0, 0),
    "user": lambda row: (row["user"] is None, row["user"] or "", parse(row["ip"]) or (0, 0)),
    "since": lambda row: (row["since"] is None, row["since"] or "", parse(row["ip"]) or (0, 0)),
    "until": lambda row: (row["until"] is None, row["until"] or "", parse(row["ip"]) or (0, 0)),
    "format": lambda row: (row["format"] is None, row["format"] or "", parse(row["ip"]) or (0, 0)),
}

_ORIGINS = {"own": "", "hub": "another node", "recovered": "found at the start", "manual": "granted by hand"}


def rows(found: Sequence[Row], now: str, look: Look = PLAIN) -> str:
    """One line a row, under a header; `now` decides which times need a date."""
    if not found:
        return "no address may relay\n"
    return table(("ADDRESS", "USER", "SINCE", "UNTIL", "FORMAT", ""), _cells(found, now), look)


def _cells(found: Sequence[Row], now: str) -> Iterable[list[str]]:
    for row in found:
        origin = f"node {row['node']}" if row["node"] is not None else _ORIGINS.get(row["origin"], row["origin"])
        yield [
            row["ip"],
            row["user"] or "-",
            "-" if row["since"] is None else clock(row["since"], now),
            "session open" if row["until"] is None else clock(row["until"], now),
            row["format"] or "-",
            origin,
        ]


def revoked(
    reply: Revoked,
    now: str,
    look: Look = PLAIN,
    nodes: Sequence[Node] = (),
    longest: int = 0,
    *,
    queued: int | None = None,
) -> str:
    """What was removed, until when it stays denied, on which `nodes`, and what else a stolen password needs.

    No row of another node lasts longer than `longest` seconds. `queued`: how many of the user's messages Postfix still
    has, if that is known.
    """
    what, kind = reply["what"], reply["kind"]
    addresses = reply["addresses"]
    more = reply["revoked"] - len(addresses)
    shown = " ".join(addresses) + (f" and {more:,} more" if more > 0 else "")
    if kind == "ip":
        head = f"revoked {what}" if reply["revoked"] else f"{what} had no row to revoke"
    elif reply["revoked"]:
        of = {"network": "in", "node": "that came from"}.get(kind, "of")
        head = f"revoked {plural(reply['revoked'], 'address', 'addresses')} {of} {what}: {shown}"
    else:
        head = f"{what} had no row to revoke"
    out = paragraph(head, look, indent="  ")
    if kind == "node":
        out += paragraph(f"no grant of {what} counts until {clock(reply['until'], now)}", look, indent="  ")
        out += paragraph("still to do: take it out of share.from on all nodes; change the secret", look, indent="  ")
    else:
        whom = {"ip": "this address", "network": "this network", "user": "this user"}[kind]
        out += paragraph(f"no new grant for {whom} until {clock(reply['until'], now)}", look, indent="  ")
    out += _in_force(reply.get("revocation"), nodes, longest, now, look)
    if kind == "user":
        word = shlex.quote(what)
        mail = "its mail may still be queued"
        if sent := reply.get("messages"):
            still = "may still be queued" if queued is None else f"{queued:,} of them still queued"
            mail = f"its mail of the last hour: {plural(sent, 'message')}, {still}"
        out += f"{mail}: {look.command('queue', what)} | postsuper -h -\n"
        out += paragraph(
            f"still to do: change the password; end its sessions (Dovecot: doveadm kick {word})", look, indent="  "
        )
    return out


def _in_force(number: int | None, nodes: Sequence[Node], longest: int, now: str, look: Look) -> str:
    """On how many nodes it is in force, and which have not said so."""
    if number is None:
        return ""
    late = [node for node in nodes if node["confirmed"] < number]
    text = f"in force on {len(nodes) + 1 - len(late)} of {plural(len(nodes) + 1, 'node')}"
    if late:
        named = ", ".join(f"{node['name']} ({_heard(node, now)})" for node in late[:_NAMED_NODES])
        more = f" and {len(late) - _NAMED_NODES} more" if len(late) > _NAMED_NODES else ""
        text += f"; not confirmed by {named}{more}: rows there end within {exact(longest)} at the latest"
    return paragraph(text, look, indent="  ", colour="yellow" if late else "")


def _heard(node: Node, now: str) -> str:
    if node["heard"] is None:
        return "never heard"
    ago = exact(between(node["heard"], now))
    return f"silent for {ago}" if node["silent"] else f"heard {ago} ago"


def undone(reply: Undone, look: Look = PLAIN) -> str:
    """Which manual denial or grant has ended."""
    what = reply["what"]
    texts = []
    if "denial" in reply["undone"]:
        texts.append(f"{what} is no longer denied; its next login counts again")
    if "grant" in reply["undone"]:
        texts.append(f"the manual grant of {what} has ended")
    return "".join(paragraph(text, look, indent="  ") for text in texts)


def granted(reply: Granted, now: str, look: Look = PLAIN) -> str:
    """Until when an address may relay."""
    text = f"{reply['ip']} may relay until {clock(reply['until'], now)} (granted by hand); guards hold for it too"
    return paragraph(text, look, indent="  ")


def reloaded(reply: Reloaded, look: Look = PLAIN) -> str:
    """The daemon's own words."""
    return "".join(paragraph(text, look, indent="  ") for text in (*reply["warnings"], reply["text"]) if text)


def event(happened: Event, look: Look = PLAIN) -> str:
    """`10:12:17  granted      203.0.113.5 …`: the daemon's own line where it has one, else the event's values."""
    kind = happened["kind"]
    text = happened.get("text")
    if text is None:
        shown = ("ip", "user", "host", "format", "guard", "until", "log", "table", "hub", "node", "why")
        values: dict[str, object] = {key: happened.get(key) for key in shown}
        if (until := happened.get("until")) is not None:
            values["until"] = clock(until, happened["at"])
        text = " ".join(f"{key}={value}" for key, value in values.items() if value not in (None, ""))
    when = parse_time(happened["at"]).strftime("%H:%M:%S")
    name = f"{printable(kind):<{_WIDEST}}"
    return (
        f"{when}  {look.paint(name, _COLOURS[kind]) if kind in _COLOURS else name}  {printable(text)}".rstrip() + "\n"
    )


def lost(count: int) -> str:
    """What a watcher that was too slow is told."""
    return f"{plural(count, 'event')} lost: this command was too slow to take them\n"
