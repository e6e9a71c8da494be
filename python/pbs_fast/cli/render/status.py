"""The reply to `status` as text, and as an exit status for monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pbs_fast.cli.render.layout import PLAIN, Cell, Look, between, clock, paragraph, plural, table
from pbs_fast.util.durations import exact

if TYPE_CHECKING:
    from pbs_fast.control.replies import Caps, Denial, Log, Served, Status, Table

#: Exit statuses of `status`; 1, not running, is that of every error.
WELL, FAULT, HANGS = 0, 3, 4
#: Seconds after which a loop that has not turned hangs: it turns at least every 30 s.
LONGEST_TURN = 45.0

_DENIALS = 10
_UNITS = ("B", "kB", "MB", "GB", "TB")


def exit_status(reply: Status) -> int:
    """WELL, or FAULT for a daemon that runs with one: whatever `as_text` shows with a mark or in capitals."""
    if reply["turned_s"] > LONGEST_TURN:
        return HANGS
    faults = [
        not reply["ready"],
        *(log["state"] in ("missing", "unreadable") or log["drift"] for log in reply["logs"]),
        *(each["failing"] for each in reply["tables"]),
        *(hub["state"] == "down" for hub in reply["hubs"]),
        *(node["silent"] for node in reply["nodes"]),
        *reply["notices"],
    ]
    return FAULT if any(faults) else WELL


def as_text(reply: Status, look: Look = PLAIN) -> str:
    """All that an administrator should know, the most important first."""
    now = reply["now"]
    up = between(reply["started"], now)
    state = "ready" if reply["ready"] else "STARTING, the logs are being replayed"
    late = f", loop turned {exact(reply['turned_s'])} ago" if reply["turned_s"] > LONGEST_TURN else ""
    out = paragraph(
        f"pbs-fast {reply['version']}, pid {reply['pid']}, up {exact(up)}, {reply['core']} backend: {state}{late}",
        look,
        indent="  ",
    )
    out += paragraph(_rows(reply), look, indent="  ")
    if reply["logs"]:
        header = ("LOG", "LINES/S", "LAST LOGIN", "BEHIND", "FORMATS")
        out += table(header, [_log(log, now) for log in reply["logs"]], look, right=(1, 3))
    if reply["tables"]:
        header = ("TABLE", "ROWS", "LAST WRITE", "WAITING", "")
        out += table(header, [_table(each, now, _over(reply["caps"])) for each in reply["tables"]], look, right=(1, 3))
    out += _others(reply, look)
    if refused := _counted(reply["refused"]):
        out += paragraph(f"refused in {exact(up)}: {refused}", look, indent="  ")
    out += _denials(reply["denials"], now, look)
    for text in _faults(reply):
        out += paragraph(f"! {text}", look, indent="  ", colour="red")
    return out


def _rows(reply: Status) -> str:
    rows = reply["rows"]
    parts = {
        "by our logs": rows["own"],
        "by other nodes": rows["hub"],
        "found in the tables at the start": rows["recovered"],
        "granted by hand": rows["manual"],
    }
    named = [f"{count:,} {what}" for what, count in parts.items() if count]
    sources = f": {', '.join(named)}" if named else ""
    sessions = reply["sessions_open"]
    open_ = "" if sessions is None else f"; {plural(sessions, 'session')} open"
    text = f"{plural(rows['total'], 'address', 'addresses')} may relay{sources}; "
    text += f"{rows['new_last_minute']:,} new in the last minute (limit {rows['new_limit']:,})"
    if rows["total"] >= rows["limit"]:
        text += f"; FULL: guards.max_rows is {rows['limit']:,}"
    return text + open_


def _log(log: Log, now: str) -> list[str | Cell]:
    total = sum(log["logins"].values())
    shares = sorted(log["logins"].items(), key=lambda item: -item[1])
    formats = ", ".join(f"{name} {_share(count / total)}" for name, count in shares[:3]) if total else "no login yet"
    if len(shares) > 3:
        formats += f" and {len(shares) - 3} more"
    state = log["state"]
    if state in ("missing", "unreadable"):
        words: str | Cell = Cell(f"{state.upper()}; {formats}", "red")
    else:
        words = formats if state == "following" else f"{state}; {formats}"
    behind = log["behind_bytes"]
    return [
        log["name"],
        _rate(log["lines_per_s"]),
        _ago(log["last_login"], now),
        "-" if behind is None else size(behind),
        words,
    ]


def _table(each: Table, now: str, over: str) -> list[str | Cell]:
    note: str | Cell = ""
    if each["failing"]:
        for_ = f" for {exact(each['failing_s'])}" if each["failing_s"] is not None else ""
        note = Cell(f"FAILING{for_}: {each['failing']}", "red")
    elif each["served"]:
        note = _served(each["served"], over)
    return [each["spec"], f"{each['rows']:,}", _ago(each["last_write"], now), f"{each['waiting']:,}", note]


def _served(served: Served, over: str) -> str:
    per_s = served.get("recipients_per_s")
    if per_s is None:
        return f"{plural(served['clients'], 'client')}, {plural(served['requests'], 'request')}"
    return f"{plural(served['clients'], 'smtpd')}, {_rate(per_s)} RCPT/s{over}"


def _over(caps: Caps | None) -> str:
    """Who is over a cap, in the line of a table that counts."""
    if caps is None:
        return ""
    who = [
        plural(count, *words)
        for count, words in (
            (caps["users_over"], ("login",)),
            (caps["addresses_over"], ("address", "addresses")),
        )
        if count
    ]
    return f"; over a cap in the last hour: {' and '.join(who)}" if who else ""


def _others(reply: Status, look: Look) -> str:
    """Hubs and nodes, where there are any."""
    out, now = "", reply["now"]
    hubs: list[list[str | Cell]] = []
    for hub in reply["hubs"]:
        lasted = exact(between(hub["since"], now))
        down = hub["state"] == "down"
        state = Cell(f"DOWN {lasted}", "red") if down else f"{hub['state'].replace('_', ' ')} {lasted}"
        delay = "-" if hub["delay_ms"] is None else f"{hub['delay_ms']:.1f} ms"
        hubs.append([hub["url"], state, delay, f"{hub['waiting']:,}", hub["reason"] or ""])
    if hubs:
        out += table(("HUB", "STATE", "DELAY", "WAITING", ""), hubs, look, right=(2, 3))
    nodes: list[list[str | Cell]] = []
    for node in reply["nodes"]:
        heard = "never" if node["heard"] is None else f"{exact(between(node['heard'], now))} ago"
        nodes.append(
            [
                node["name"],
                f"{node['rows']:,}",
                Cell(f"SILENT, {heard}", "red") if node["silent"] else heard,
                node["version"] or "-",
                "" if node["trusted"] else "not trusted: its grants do not count",
            ]
        )
    if nodes:
        out += table(("NODE", "ROWS", "HEARD", "VERSION", ""), nodes, look, right=(1,))
    return out


def _denials(denials: list[Denial], now: str, look: Look) -> str:
    manual = [each for each in denials if each["by"] != "deny.toml"]
    out = ""
    for each in manual[:_DENIALS]:
        until = "" if each["until"] is None else f" until {clock(each['until'], now)}"
        reason = f": {each['reason']}" if each["reason"] else ""
        out += paragraph(f"denied by hand: {each['what']}{until} ({each['by']}){reason}", look, indent="  ")
    if len(manual) > _DENIALS:
        out += f"denied by hand: {len(manual) - _DENIALS} more; {look.command('status', '--json')} lists all\n"
    return out


def _faults(reply: Status) -> list[str]:
    """The standing notices, and the trouble of a log that none of them repeats."""
    out = [notice["text"] for notice in reply["notices"]]
    drifts = [log["drift"] for log in reply["logs"] if log["drift"]]
    return out + [drift for drift in drifts if drift not in out]


def _counted(counters: Mapping[str, int]) -> str:
    named = [f"{name} {n:,}" for name, n in sorted(counters.items(), key=lambda item: (-item[1], item[0])) if n]
    return ", ".join(named)


def _share(share: float) -> str:
    return "100 %" if share == 1 else f"{100 * share:.1f} %"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def _ago(time: str | None, now: str) -> str:
    return "never" if time is None else f"{exact(between(time, now))} ago"


def size(count: int) -> str:
    """`0 B`, `12 kB`, `3.1 MB`."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < 9.95 else f"{value:.0f} {_UNITS[unit]}"
