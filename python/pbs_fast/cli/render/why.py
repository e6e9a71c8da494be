"""`why`: the daemon's reply and what the logs say, as one text and one exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.cli.render.guards import meaning
from pbs_fast.cli.render.layout import PLAIN, Look, between, clock, labelled, listed, paragraph, parse_time, plural
from pbs_fast.cli.render.logs import (
    LINES,
    all_mail,
    by_address,
    caps,
    gaps,
    local_logins,
    mail,
    missed,
    newest_logins,
    tally,
    without_rows,
)
from pbs_fast.util.durations import exact
from pbs_fast.util.text import utc

if TYPE_CHECKING:
    from pbs_fast.control.replies import Refusal, Row
    from pbs_fast.control.why.findings import Findings, Line, Login
    from pbs_fast.control.why_reply import Why

#: Exit statuses; 1 is that of every answer without the daemon.
MAY, WITHOUT_DAEMON, MAY_NOT = 0, 1, 3

#: Addresses that are shown before the rest is counted.
_ADDRESSES = 20


def shown_lines(reply: Why | None, found: Findings) -> list[Line]:
    """The lines whose place may be shown, so that only these are looked for again to number them."""
    logins: dict[str, Login] = {login.ip: login for login in found.logins if not login.guard}
    explained = [explaining(row, found) for row in (reply["rows"] if reply is not None else [])[:_ADDRESSES]]
    shown = [*list(logins.values())[:_ADDRESSES], *filter(None, explained), *newest_logins(found.logins).values()]
    return [login.line for login in shown] + [each.line for each in found.missed[:LINES]]


def exit_status(reply: Why | None, found: Findings) -> int:
    """Whether the address, or any address of the user, may relay; WITHOUT_DAEMON if it was not asked."""
    if reply is None:
        return WITHOUT_DAEMON
    local = reply["guard"] == "local" or (reply["user"] is not None and local_logins(found))
    return MAY if local or (reply["rows"] and not _unwritten(reply)) else MAY_NOT


def _unwritten(reply: Why) -> list[str]:
    """The tables in which a grant is missing because they cannot be written: the MTA does not know of it."""
    return [each["spec"] for each in reply["tables"] if each["waiting"] and each["failing"]]


def as_text(what: str, reply: Why | None, found: Findings, look: Look = PLAIN) -> str:
    """The answer for an address or a login name `what`. Without a reply, that of the logs alone."""
    now = reply["now"] if reply is not None else utc(found.now)
    if reply is not None and reply["user"] is not None:
        return _of_user(what, reply, found, now, look)
    if reply is None:
        return _without_daemon(what, found, now, look)
    return _of_address(what, reply, found, now, look)


# -- an address -----------------------------------------------------------------------------------------------------


def _of_address(what: str, reply: Why, found: Findings, now: str, look: Look) -> str:
    row = reply["rows"][0] if reply["rows"] else None
    granted = [login for login in found.logins if not login.guard]
    if row is not None:
        out = _granted(f"{what} may relay {_until(row, now)}", reply, look)
        out += _because(row, granted, found, now, look)
    elif reply["guard"] == "local":
        out = _headline(f"{what} may relay: it is in mynetworks and needs no row", look, "green")
    else:
        out = _headline(f"{what} may not relay{_nothing(reply, found, now)}", look, "red")
        if not reply["ready"]:
            out += labelled("starting", ["the daemon still replays the logs; ask again in a moment"], look)
    out += _refused(reply, now, look)
    out += _denied(reply, now, look)
    if row is not None and row["origin"] != "manual":
        out += labelled("before", _before(granted, row, now), look)
    out += labelled("tables", ["; ".join(_tables(reply))] if reply["tables"] else [], look)
    out += labelled("caps", caps(reply), look)
    since = row["since"] if row is not None else None
    out += labelled("mail", mail(all_mail(reply, found), since, now), look)
    if row is None:
        out += missed(found, look)
    return out + _trouble(reply, look) + gaps(found, look)


def _granted(text: str, reply: Why, look: Look) -> str:
    if not (specs := _unwritten(reply)):
        return _headline(text, look, "green")
    return _headline(f"{text}, but the MTA may not know: {listed(specs)} cannot be written", look, "red")


def _until(row: Row, now: str) -> str:
    if row["until"] is None:
        return "while its session is open"
    left = exact(between(now, row["until"]))
    return f"until {clock(row['until'], now)}, for {left} more"


def _because(row: Row, granted: Sequence[Login], found: Findings, now: str, look: Look) -> str:
    if row["origin"] == "manual":
        by = f" ({row['by']})" if "by" in row else ""
        reason = f": {row['reason']}" if row.get("reason") else ""
        return labelled("because", [f"an administrator granted it{_since(row, now)}{by}{reason}"], look)
    if row["node"] is not None:
        text = f"{row['user'] or 'somebody'} logged in{_since(row, now)} at the node {row['node']}"
        host = f", host {row['host']}" if row["host"] else ""
        return labelled("because", [f"{text}{host}; ask there for the log line"], look)
    if row["origin"] == "recovered" and not granted:
        text = "the row was in a table when the daemon started, and no log explains it; it ends by itself"
        return labelled("because", [text], look)
    login = _explains(row, granted)
    where = f", host {row['host']}" if row["host"] else ""
    format_ = f", format {row['format']}" if row["format"] else ""
    texts = [f"{row['user'] or 'an unnamed user'} logged in{_since(row, now)}{where}{format_}"]
    if login is None:
        texts.append(f"its line is not in the logs that could be read since {clock(utc(found.since), now)}")
    else:
        texts += [login.line.place, login.line.text]
    return labelled("because", texts, look)


def _since(row: Row, now: str) -> str:
    return "" if row["since"] is None else f" at {clock(row['since'], now)}"


def explaining(row: Row | None, found: Findings) -> Login | None:
    """The login whose line explains a row: of its second, else the newest that is granted; None if there is none."""
    granted = [login for login in found.logins if not login.guard]
    if row is None:
        return max(granted, key=lambda login: login.at, default=None)
    return _explains(row, [login for login in granted if login.ip == row["ip"]])


def _explains(row: Row, granted: Sequence[Login]) -> Login | None:
    if not granted:
        return None
    if row["since"] is None:
        return max(granted, key=lambda login: login.at)
    second = parse_time(row["since"]).timestamp()
    # A live line whose timestamp is ahead counts as of when it came, a second more or less is the clock's.
    near = [login for login in granted if abs(login.at - second) <= 2]
    return near[-1] if near else None


def _before(granted: Sequence[Login], row: Row, now: str) -> list[str]:
    this = _explains(row, granted)
    return tally([login for login in granted if login is not this], now)


def _nothing(reply: Why, found: Findings, now: str) -> str:
    """What is absent, in the headline; empty if something else explains it."""
    if reply["refused"] or reply["denials"] or reply["guard"]:
        return ""
    since = clock(utc(found.since), now)
    if found.logins:
        last = found.logins[-1]
        when = clock(utc(last.at), now)
        if last.guard or last.at + reply["grace_s"] <= found.now:
            return f": no row and no refusal; its last login has ended ({when})"
        return f": no row and no refusal, although its login at {when} has not ended; the daemon's log says why"
    return f": no row, no refusal, and no login in the logs since {since}"


def _refused(reply: Why, now: str, look: Look) -> str:
    out = ""
    named = set()
    for guard, count in sorted(reply["refused"].items(), key=lambda item: -item[1]):
        if guard == "local":
            continue
        named.add(guard)
        of_guard = [each for each in reply["refusals"] if each["guard"] == guard]
        over = guard == "deny" and not reply["denials"]
        means = ["nothing denies it any more; the next login counts again"] if over else meaning(guard)
        out += labelled("refused", [_refusals(guard, count, of_guard, now), *means[:1]], look)
        out += labelled("to do", means[1:], look)
    now_refuses = reply["guard"]
    if now_refuses is not None and now_refuses not in {*named, "local"} and not reply["denials"]:
        out += labelled("guard", [f"{now_refuses} would refuse a login", *meaning(now_refuses)[:1]], look)
        out += labelled("to do", meaning(now_refuses)[1:], look)
    return out


def _refusals(guard: str, count: int, refusals: Sequence[Refusal], now: str) -> str:
    text = f"{plural(count, 'login')} by the guard {guard}"
    if not refusals:
        return text
    newest, oldest = refusals[0], refusals[-1]
    who = ", ".join(filter(None, [newest["user"], newest["host"] and f"host {newest['host']}"]))
    last = f"{clock(newest['at'], now)}{f' ({who})' if who else ''}"
    if len(refusals) > 1:
        text += f" since {clock(oldest['at'], now)}"
    return f"{text}, the last at {last}" if count > 1 else f"{text} at {last}"


def _denied(reply: Why, now: str, look: Look) -> str:
    texts = []
    for each in reply["denials"]:
        until = "until deny.toml changes" if each["until"] is None else f"until {clock(each['until'], now)}"
        reason = f": {each['reason']}" if each["reason"] else ""
        where = f" at {each['node']}" if "node" in each else ""
        # At another node the configuration has its usual place, as far as we know.
        here = PLAIN if where else look
        undo = f"; to end it{where}: {here.command('revoke', '--undo', each['what'])}"
        undo = "" if each["by"] == "deny.toml" else undo
        texts.append(f"{each['what']} {until}, by {each['by']}{reason}{undo}")
    return labelled("denied", texts, look)


def _tables(reply: Why) -> list[str]:
    texts = []
    for each in reply["tables"]:
        value = "no row" if each["value"] is None else f'"{each["value"]}"'
        waiting = ", a change waits" if each["waiting"] else ""
        failing = f", FAILING: {each['failing']}" if each["failing"] else ""
        texts.append(f"{each['spec']} {value}{waiting}{failing}")
    return texts


def _trouble(reply: Why, look: Look) -> str:
    """Why the daemon may have missed a login; a cap that somebody reached is no reason for that."""
    if reply["rows"] or reply["guard"] == "local":
        return ""
    texts = [each["text"] for each in reply.get("notices", []) if each["code"] != "cap"]
    return labelled("trouble", texts, look, colour="red")


# -- a login --------------------------------------------------------------------------------------------------------


def _of_user(what: str, reply: Why, found: Findings, now: str, look: Look) -> str:
    rows = sorted(reply["rows"], key=lambda row: row["until"] or "~", reverse=True)
    live = {row["ip"] for row in rows}
    local = {ip: login for ip, login in local_logins(found).items() if ip not in live}
    if count := len(rows) + len(local):
        out = _granted(f"{what} may relay from {plural(count, 'address', 'addresses')}", reply, look)
    else:
        out = _headline(f"{what} may not relay from any address{_nothing(reply, found, now)}", look, "red")
    texts = []
    for row in rows[:_ADDRESSES]:
        login = explaining(row, found)
        place = f" ({login.line.place})" if login is not None else ""
        node = f", node {row['node']}" if row["node"] is not None else ""
        texts.append(f"{row['ip']} {_until(row, now)}{_logged(row, now)}{node}{place}")
    if len(rows) > _ADDRESSES:
        more = plural(len(rows) - _ADDRESSES, "more address", "more addresses")
        texts.append(f"and {more}; see: {look.command('list')}")
    out += labelled("addresses", texts, look)
    out += labelled("local", without_rows(local, now), look)
    # Logins that the daemon refused are in its own words below.
    rest = [each for each in found.logins if each.ip not in {*live, *local} and each.guard not in reply["refused"]]
    for label, logins in _fates(rest, reply, found).items():
        out += labelled(label, by_address(logins, now), look)
    out += _refused(reply, now, look)
    out += _denied(reply, now, look)
    out += labelled("tables", ["; ".join(_failing(reply))] if reply["tables"] else [], look)
    out += labelled("caps", caps(reply), look)
    out += labelled("mail", mail(all_mail(reply, found), None, now), look)
    if not rows:
        out += missed(found, look, "name")
    return out + _trouble(reply, look) + gaps(found, look)


def _fates(logins: Iterable[Login], reply: Why, found: Findings) -> dict[str, list[Login]]:
    """Logins whose addresses have no row, by what became of them."""
    fates: dict[str, list[Login]] = {"ended": [], "refused": [], "revoked": [], "no row": []}
    for login in logins:
        if login.guard:
            fates["refused"].append(login)
        elif login.at + reply["grace_s"] <= found.now:
            fates["ended"].append(login)
        else:
            fates["revoked" if reply["denials"] else "no row"].append(login)
    return fates


def _failing(reply: Why) -> list[str]:
    return [f"{each['spec']} FAILING: {each['failing']}; changes wait" for each in reply["tables"]]


def _logged(row: Row, now: str) -> str:
    return f"; login{_since(row, now)}" if row["since"] is not None else ""


# -- without the daemon ---------------------------------------------------------------------------------------------


def _without_daemon(what: str, found: Findings, now: str, look: Look) -> str:
    granted = [login for login in found.logins if not login.guard]
    live = {ip: end for ip, end in found.ends.items() if end > found.now}
    if live or local_logins(found):
        out = _headline(f"{what}: by the logs alone it may relay (the daemon was not asked)", look, "yellow")
    else:
        out = _headline(f"{what}: by the logs alone it may not relay (the daemon was not asked)", look, "yellow")
    for ip, end in list(live.items())[:_ADDRESSES]:
        login = max((each for each in granted if each.ip == ip), key=lambda each: each.at, default=None)
        if login is None:
            continue
        until = f"until {clock(utc(end), now)}" + (", or longer if a session is open" if found.counted_sessions else "")
        of = f"{ip} {until}: " if ip != what else f"{until}: "
        host = f", host {login.host}" if login.host else ""
        who = f"{login.user or 'an unnamed user'} logged in at {clock(utc(login.at), now)}"
        out += labelled("because", [f"{of}{who}{host}, format {login.format}", login.line.place, login.line.text], look)
    newest = {ip: max((each.at for each in granted if each.ip == ip), default=0) for ip in live}
    out += labelled("before", tally([each for each in granted if newest.get(each.ip) != each.at], now), look)
    refused = Counter(login.guard for login in found.logins if login.guard)
    for guard, count in refused.most_common():
        if guard == "local":
            out += labelled("local", without_rows(local_logins(found), now), look)
            continue
        out += labelled("refused", [f"{plural(count, 'login')} by the guard {guard}", *meaning(guard)[:1]], look)
        out += labelled("to do", meaning(guard)[1:], look)
    if not found.logins:
        out += labelled("logins", [f"none in the logs since {clock(utc(found.since), now)}"], look)
    out += labelled("mail", mail(found.messages, None, now), look)
    if not live:
        out += missed(found, look)
    return out + gaps(found, look)


def _headline(text: str, look: Look, colour: str) -> str:
    return paragraph(text, look, indent="  ", colour=colour)
