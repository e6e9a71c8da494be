"""The report as one HTML page: no script, nothing from elsewhere, every picture also as a table.

Everything from the logs goes through `svg.shown`. The page forbids itself all requests (Content-Security-Policy).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pbs_fast.report.findings import QUANTILES, Findings, LoginFound, Way, quantile
from pbs_fast.report.logins import USER_CAPS
from pbs_fast.report.plan import plan
from pbs_fast.report.style import style
from pbs_fast.report.svg import Bar, Panel, bars, cumulated, panels, shown
from pbs_fast.report.text import what_to_do
from pbs_fast.report.verdicts import VERDICTS
from pbs_fast.util.durations import exact
from pbs_fast.util.text import plural

#: Logins of one verdict that the page lists; JSON and files have all.
_LISTED = 50
#: Of those that nobody has to do anything about.
_LISTED_UNUSED = 10
#: Logins in the picture of the busiest hours.
_BUSIEST = 12
#: From this many days on, a bar is a week.
_MOST_DAYS = 100

_COLOUR = {"suspect": "alarm", "unused": "calm"}
_WAYS = (("grant", "By POP-before-SMTP"), ("auth", "By SMTP AUTH"), ("mynetworks", "From mynetworks"))


def as_page(found: Findings, *, made: datetime) -> str:
    """The page; `made` is when, with a time zone."""
    title = "Who still uses POP-before-SMTP"
    body = [
        f"<header><h1>{title}</h1><p>{found.first_day:%-d %B %Y} to {found.last_day:%-d %B %Y},"
        f" from {plural(found.lines, 'line')} of log</p></header>",
        "<main>",
        _tiles(found),
        '<div class="grid">',
        _verdicts(found),
        _daily(found),
        _delays(found),
        _hours(found),
        "</div>",
        _plan(found),
        _logins(found),
        "</main>",
        f"<footer><p>Made by pbs-fast report on {made.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
        + (" Logins and addresses are replaced by words of this run." if found.pseudonyms else "")
        + "</p></footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}: {found.first_day} to {found.last_day}</title>\n<style>\n{style()}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _tiles(found: Findings) -> str:
    relaying = sum(login.messages > 0 for login in found.logins)
    share = f"{found.ways['grant'] / found.relayed:.2%}" if found.relayed else "none"
    tiles = (
        ("", f"{found.relayed:,}", "messages relayed"),
        ("grant", f"{found.ways['grant']:,}", f"of them by POP-before-SMTP ({share})"),
        ("", f"{relaying:,}", "logins rely on it"),
        ("", f"{len(found.logins) - relaying:,}", "logins never relayed by it"),
    )
    items = "".join(
        f"<li{f' class={kind}' if kind else ''}><b>{number}</b><span>{text}</span></li>" for kind, number, text in tiles
    )
    return f'<ul class="tiles">{items}</ul>'


def _section(title: str, intro: str, figure: str, table: str, *, summary: str = "The numbers as a table") -> str:
    return (
        f"<section><h2>{title}</h2><p class=quiet>{intro}</p><figure>{figure}</figure>"
        f"<details><summary>{summary}</summary>{table}</details></section>"
    )


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int]) -> str:
    """`rows` are safe already; `numbers` are the columns on the right."""

    def cell(tag: str, place: int, text: str, more: str = "") -> str:
        return f"<{tag}{more}{' class=n' if place in numbers else ''}>{text}</{tag}>"

    heads = "".join(cell("th", place, text, " scope=col") for place, text in enumerate(head))
    body = "".join(
        "<tr>"
        + "".join(
            cell("th" if place == 0 else "td", place, text, " scope=row" if place == 0 else "")
            for place, text in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    short = ' class="short"' if len(head) < 4 else ""
    return (
        f'<div class="wide"><table{short}><caption>{caption}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _verdicts(found: Findings) -> str:
    by = [(verdict, found.of(verdict)) for verdict in VERDICTS]
    rows = [Bar(verdict, len(logins), _COLOUR.get(verdict, "grant"), f"{len(logins):,}") for verdict, logins in by]
    figure = bars(
        "verdicts",
        "Logins by verdict",
        "; ".join(f"{row.name} {row.label}" for row in rows),
        rows,
    )
    table = _table(
        "What each verdict means",
        ("Verdict", "Logins", "Messages", "Meaning", "What to do"),
        (
            (
                verdict,
                f"{len(logins):,}",
                f"{sum(login.messages for login in logins):,}",
                shown(VERDICTS[verdict]),
                shown(what_to_do(verdict, logins)) if logins else "",
            )
            for verdict, logins in by
        ),
        (1, 2),
    )
    return _section(
        "Logins by verdict", "How many logins are of which kind. Bars are on a logarithmic scale.", figure, table
    )


def _daily(found: Findings) -> str:
    ways: Sequence[Way] = found.days
    unit = "day"
    if len(ways) > _MOST_DAYS:
        unit = "week"
        weeks = [ways[place : place + 7] for place in range(0, len(ways), 7)]
        ways = [
            Way(week[0].day, sum(w.grant for w in week), sum(w.auth for w in week), sum(w.mynetworks for w in week))
            for week in weeks
        ]
    rows = [Panel(name, [getattr(way, key) for way in ways], key) for key, name in _WAYS]
    figure = panels(
        "daily",
        f"Messages relayed a {unit}, by way",
        "; ".join(f"{row.name}: {sum(row.values):,} in all" for row in rows),
        rows,
        (f"{found.first_day:%-d %b %Y}", f"{found.last_day:%-d %b %Y}"),
    )
    table = _table(
        f"Messages relayed a {unit}",
        (unit.capitalize(), "POP-before-SMTP", "SMTP AUTH", "mynetworks"),
        ((f"{way.day}", f"{way.grant:,}", f"{way.auth:,}", f"{way.mynetworks:,}") for way in ways),
        (1, 2, 3),
    )
    return _section(f"Messages a {unit}", "Each way has a scale of its own.", figure, table)


def _delays(found: Findings) -> str:
    if not found.delays:
        return _empty("Time since the login", "No message relied on a grant.")
    within = quantile(found.delays, 0.95)
    marks = [(within, f"95 % within {exact(within)}")]
    if found.proposed is not None:
        marks.append((found.proposed, f"grace {exact(found.proposed)} would do"))
    step = max(found.grace // 6, 1)
    ticks = [(value, _tick(value)) for value in range(0, found.grace + 1, step)]
    figure = cumulated(
        "delays",
        "Time between the login and the message, cumulated",
        "; ".join(f"{share:.1%} within {exact(quantile(found.delays, share))}" for share in QUANTILES),
        found.delays,
        found.grace,
        ticks=ticks,
        marks=marks,
    )
    table = _table(
        f"With a shorter grace (now {exact(found.grace)}), refused would have been",
        ("Grace", "Messages", "Logins"),
        ((exact(each.seconds), f"{each.messages:,}", f"{each.logins:,}") for each in found.graces),
        (1, 2),
    )
    quantiles = _table(
        "Time since the login",
        ("Share of messages", "Within"),
        ((f"{share:.1%}", exact(quantile(found.delays, share))) for share in QUANTILES),
        (1,),
    )
    return _section(
        "Time since the login",
        "Which share of these messages came within how long of the login.",
        figure,
        quantiles + table,
        summary="The numbers, and what a shorter grace would cost",
    )


def _tick(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 and seconds else f"{seconds // 60} min" if seconds else "0"


def _hours(found: Findings) -> str:
    busiest = sorted((login for login in found.logins if login.messages), key=lambda login: -login.most_an_hour)
    if not busiest:
        return _empty("Recipients an hour", "No login relayed by a grant.")
    cap = USER_CAPS[0]
    rows = [
        Bar(
            login.name,
            login.most_an_hour,
            "alarm" if login.most_an_hour > cap.limit else "grant",
            f"{login.most_an_hour:,}",
        )
        for login in busiest[:_BUSIEST]
    ]
    figure = bars(
        "hours",
        "Recipients in each login's busiest hour",
        f"A limit of {cap} is drawn; the busiest: " + "; ".join(f"{row.name} {row.label}" for row in rows[:3]),
        rows,
        mark=(cap.limit, f"limit {cap}"),
    )
    hourly = [(n, 1) for n in found.hourly]
    table = (
        _table(
            "What rate limits would have refused",
            ("Limit", "Of", "Recipients", "Logins"),
            ((each.rate, each.of, f"{each.recipients:,}", f"{len(each.logins):,}") for each in found.caps),
            (2, 3),
        )
        + _table(
            "Recipients in the busiest hour",
            ("Share of logins", "At most"),
            ((f"{share:.1%}", f"{quantile(hourly, share):,}") for share in QUANTILES),
            (1,),
        )
        + _table(
            "The busiest logins",
            ("Login", "Recipients"),
            ((shown(row.name), row.label) for row in rows),
            (1,),
        )
    )
    return _section(
        "Recipients an hour",
        "The logins that sent most within one hour. Bars are on a logarithmic scale.",
        figure,
        table,
        summary="The numbers, and what rate limits would have refused",
    )


def _empty(title: str, text: str) -> str:
    return f"<section><h2>{title}</h2><p class=quiet>{text}</p></section>"


def _plan(found: Findings) -> str:
    steps = "".join(f"<li><b>{shown(step.title)}</b>: {shown(step.text)}</li>" for step in plan(found))
    return f'<section><h2>Plan</h2><ol class="plan">{steps}</ol></section>' if steps else ""


def _logins(found: Findings) -> str:
    if not found.logins:
        return ""
    parts = ['<section class="long"><h2>Logins</h2>']
    for verdict in VERDICTS:
        logins = found.of(verdict)
        if not logins:
            continue
        most = _LISTED_UNUSED if verdict == "unused" else _LISTED
        more = f", the first {most}" if len(logins) > most else ""
        parts.append(f'<h3><span class="verdict {verdict}">{verdict}</span>: {plural(len(logins), "login")}{more}</h3>')
        parts.append(_of_verdict(verdict, logins[:most]))
    return "".join([*parts, "</section>"])


def _of_verdict(verdict: str, logins: Sequence[LoginFound]) -> str:
    if verdict == "unused":
        return _table(
            "They log in and never relay",
            ("Login", "Logins"),
            ((shown(login.name), f"{login.logins:,}") for login in logins),
            (1,),
        )
    last = {"suspect": "Why", "fixed": "Networks"}.get(verdict, "Client names")
    return _table(
        shown(VERDICTS[verdict]),
        ("Login", "Logins", "Messages", "Recipients", "Busiest hour", "Addresses", last),
        (
            (
                shown(login.name),
                f"{login.logins:,}",
                f"{login.messages:,}",
                f"{login.recipients:,}",
                f"{login.most_an_hour:,}",
                f"{login.addresses:,}",
                shown(login.why or ", ".join(login.networks or login.hosts) or "-"),
            )
            for login in logins
        ),
        (1, 2, 3, 4, 5),
    )
