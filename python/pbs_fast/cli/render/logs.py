"""What the logs say as text: logins, messages, lines that did not count, and how far back was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pbs_fast.cli.render.layout import Look, clock, labelled, listed, parse_time, plural
from pbs_fast.control.why.findings import Message
from pbs_fast.util.text import utc

if TYPE_CHECKING:
    from pbs_fast.control.why.findings import Findings, Login
    from pbs_fast.control.why_reply import Why

#: Lines and queue ids that are shown before the rest is counted.
LINES, _MESSAGES = 5, 12


def local_logins(found: Findings) -> dict[str, Login]:
    """The newest login of each address of mynetworks, which may relay without a row."""
    return newest_logins(login for login in found.logins if login.guard == "local")


def tally(logins: Sequence[Login], now: str) -> list[str]:
    """`13 logins since 09:50:02 by anna@example.org; 1 by scan@example.org (10:03:40)`."""
    by_user: dict[str, list[int]] = {}
    for login in logins:
        by_user.setdefault(login.user or "an unnamed user", []).append(login.at)
    texts: list[str] = []
    for user, times in sorted(by_user.items(), key=lambda item: -len(item[1])):
        if len(times) == 1:
            texts.append(f"{plural(1, 'login') if not texts else '1'} by {user} ({clock(utc(times[0]), now)})")
        else:
            count = plural(len(times), "login") if not texts else f"{len(times):,}"
            texts.append(f"{count} since {clock(utc(min(times)), now)} by {user}")
    shown = texts[:LINES]
    if len(texts) > LINES:
        shown.append(f"and {plural(len(texts) - LINES, 'more user')}")
    return ["; ".join(shown)] if shown else []


def caps(reply: Why) -> list[str]:
    """How much of their caps the login and the address have used; nothing without caps."""
    texts = []
    for use in reply.get("caps", []):
        who = "this address" if use["of"] == "address" else use["what"]
        refused = f", {use['refused']:,} refused" if use["refused"] else ""
        texts.append(f"{who} {use['text']}{refused}")
    return ["; ".join(texts)] if texts else []


def all_mail(reply: Why, found: Findings) -> list[Message]:
    """What the policy service and the logs know of the mail, each message once, the oldest first."""
    known = {each.queue_id: each for each in found.messages}
    for each in reply.get("mail", []):
        if each["queue_id"] is not None:
            at = int(parse_time(each["at"]).timestamp())
            known.setdefault(each["queue_id"], Message(at, each["ip"], each["queue_id"]))
    return sorted(known.values(), key=lambda message: message.at or 0)


def mail(messages: Sequence[Message], since: str | None, now: str) -> list[str]:
    """The newest queue ids, of messages since a time if one is given; nothing if there are none."""
    if since is not None:
        second = int(parse_time(since).timestamp())
        messages = [each for each in messages if each.at is None or each.at >= second]
    if not messages:
        return []
    ids = [each.queue_id for each in messages]
    more = f" and {len(ids) - _MESSAGES} earlier" if len(ids) > _MESSAGES else ""
    when = f" since {clock(since, now)}" if since is not None else ""
    return [f"{plural(len(ids), 'message')}{when}: {' '.join(ids[-_MESSAGES:])}{more}"]


def missed(found: Findings, look: Look, kind: str = "address") -> str:
    """Lines that look like a login and did not count; `kind` is what they hold, an address or a name."""
    if not found.missed:
        return ""
    reasons = Counter(each.reason for each in found.missed)
    many = len(found.missed) != 1
    # "no-pattern" is what `match --missed` calls it.
    text = (
        f"{plural(len(found.missed), 'line')} with this {kind} {'look' if many else 'looks'} like a login but did not "
        f"count ({listed(list(reasons))}):"
    )
    texts = [text]
    texts += [f"{each.line.place} {each.line.text}" for each in found.missed[:LINES]]
    if len(found.missed) > LINES:
        more = plural(len(found.missed) - LINES, "more line")
        texts.append(f"and {more}; see: {look.command('match', '--missed')} LOG")
    return labelled("missed", texts, look, colour="yellow")


def gaps(found: Findings, look: Look) -> str:
    """How far back the logs were read where that is not far enough, so that the answer may lack something."""
    texts = [log.reason.split("; waiting for ")[0] for log in found.logs if not log.complete]
    return labelled("coverage", [*texts, *found.notes], look, colour="yellow")


def by_address(logins: Iterable[Login], now: str) -> list[str]:
    """One text for the newest login of each address, of LINES addresses at most."""
    newest = newest_logins(logins)
    texts = []
    for ip, login in list(newest.items())[:LINES]:
        refused = f", refused by the guard {login.guard}" if login.guard not in ("", "local") else ""
        texts.append(f"{ip}: last login at {clock(utc(login.at), now)}{refused} ({login.line.place})")
    if len(newest) > LINES:
        texts.append(f"and {plural(len(newest) - LINES, 'more address', 'more addresses')}")
    return texts


def without_rows(local: Mapping[str, Login], now: str) -> list[str]:
    """The same of addresses of mynetworks."""
    return [f"{text}; in mynetworks, needs no row" for text in by_address(local.values(), now)]


def newest_logins(logins: Iterable[Login]) -> dict[str, Login]:
    """The newest login of each address."""
    return {login.ip: login for login in sorted(logins, key=lambda login: login.at)}
