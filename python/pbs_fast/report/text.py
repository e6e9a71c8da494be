"""The report for a terminal: 80 columns, whatever the logs hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pbs_fast.report.findings import QUANTILES, Findings, LoginFound, quantile
from pbs_fast.report.logins import USER_CAPS
from pbs_fast.report.plan import FILES, plan
from pbs_fast.report.verdicts import VERDICTS
from pbs_fast.util.durations import exact
from pbs_fast.util.text import plural, printable

WIDTH = 80
#: Logins of a verdict that its line names.
_NAMED = 3
#: A blank where no line is broken; a name from a log has none.
_NO_BREAK = "\u00a0"
#: Longest name that is shown whole.
_NAME = 36


def as_text(found: Findings, *, caps: bool, files: bool) -> str:
    """The report; `caps` adds the table of caps, `files` names the files that were written."""
    if not found.logins and not found.relayed:
        return "No login and no relayed message was found in these logs.\n"
    lines = [*_head(found), *_verdicts(found, files), *_grace(found), *_caps(found)]
    if caps:
        lines += ["", *_table_of_caps(found)]
    if found.logins:
        lines += ["", "PLAN"]
    for number, step in enumerate(plan(found), 1):
        lines += _wrapped(f"{number}. {step.title}: {step.text}", indent=3)
    return "".join(f"{line}\n" for line in lines)


def _head(found: Findings) -> Iterator[str]:
    share = f"{found.ways['grant'] / found.relayed:.2%}" if found.relayed else "none"
    users = len(found.logins)
    yield from _wrapped(
        f"{found.first_day} … {found.last_day}: {plural(found.login_lines, 'login')} of {plural(users, 'user')};"
        f" {plural(found.relayed, 'message')} relayed, {found.ways['grant']:,} of them ({share}) by POP-before-SMTP",
        indent=2,
    )
    if found.ways["grant"] > found.certain:
        yield from _wrapped(
            f"{found.ways['grant'] - found.certain:,} of these are probable: whose they are is known by their address"
            " only, because no policy service wrote it into Postfix's log",
            indent=2,
        )


def _verdicts(found: Findings, files: bool) -> Iterator[str]:
    if not found.logins:
        return
    yield "VERDICT   LOGINS  MESSAGES  WHAT TO DO"
    for verdict in VERDICTS:
        logins = found.of(verdict)
        if not logins:
            continue
        start = f"{verdict:<8}  {len(logins):>6,}  {sum(login.messages for login in logins):>8,}  "
        text = what_to_do(verdict, logins)
        if files and (file := next((name for name, of in FILES.items() if verdict in of), None)):
            text += f" ({file})"
        first, *rest = _wrapped(text, width=WIDTH - len(start), indent=0)
        yield start + first
        for line in rest:
            yield " " * len(start) + line


def what_to_do(verdict: str, logins: Sequence[LoginFound]) -> str:
    """What is to be done about the logins of a verdict, in one sentence."""
    match verdict:
        case "unused":
            return "nobody would notice"
        case "can":
            return "they use SMTP AUTH elsewhere: one device each"
        case "fixed":
            return "always from the same address: mynetworks"
        case "device":
            return "scanners: a submission service for their networks"
        case "roaming":
            return "need SMTP AUTH: write to them"
        case "shared":
            return "several users behind one address: each needs SMTP AUTH"
    named = "; ".join(f"{_name(login.name)}: {login.why}" for login in logins[:_NAMED])
    more = f"; and {len(logins) - _NAMED:,} more" if len(logins) > _NAMED else ""
    return named + more


def _grace(found: Findings) -> Iterator[str]:
    if not found.delays:
        return
    text = f"95 % of these messages came within {exact(quantile(found.delays, 0.95))} of the login"
    if found.proposed is not None:
        each = next(each for each in found.graces if each.seconds == found.proposed)
        text += (
            f"; with grace = {each.seconds} (now {found.grace}) {plural(each.messages, 'message')} of"
            f" {plural(each.logins, 'login')} would have been refused"
        )
    yield from _wrapped(f"grace: {text}", indent=7)


def _caps(found: Findings) -> Iterator[str]:
    if not found.hourly:
        return
    top = quantile([(n, 1) for n in found.hourly], QUANTILES[-1])
    cap = next(each for each in found.caps if each.rate == str(USER_CAPS[0]) and each.of == "user")
    text = (
        f"99.9 % of logins stay below {plural(top + 1, 'recipient')} an hour; a limit of {cap.rate} would have refused "
    )
    if not cap.recipients:
        text += "none"
    elif len(cap.logins) == 1:
        text += f"{plural(cap.recipients, 'recipient')}, all of {_name(cap.logins[0])}"
    else:
        text += f"{plural(cap.recipients, 'recipient')} of {len(cap.logins):,} logins, most of {_name(cap.logins[0])}"
    yield from _wrapped(f"rate limits: {text}", indent=13)


def _table_of_caps(found: Findings) -> Iterator[str]:
    hourly = [(n, 1) for n in found.hourly]
    shares = [f"{share:.1%}".replace(".0%", "%") + f" {quantile(hourly, share):,}" for share in QUANTILES]
    shares.append(f"most {max(found.hourly, default=0):,}")
    figures = "  ".join(share.replace(" ", _NO_BREAK) for share in shares)
    for line in _wrapped(f"Recipients in a login's busiest hour: {figures}", indent=2):
        yield line.replace(_NO_BREAK, " ")
    yield "LIMIT     OF       REFUSED  LOGINS  MOST OF"
    for cap in found.caps:
        most = _name(cap.logins[0]) if cap.logins else "-"
        yield f"{cap.rate:<8}  {cap.of:<7}  {cap.recipients:>7,}  {len(cap.logins):>6,}  {most}"


def _name(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"


def _wrapped(text: str, *, indent: int, width: int = WIDTH) -> list[str]:
    """Lines of at most `width` characters, all but the first indented. Only blanks are places to break."""
    lines, line = [], ""
    for word in text.split(" "):
        if line.strip() and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = " " * indent + word
        else:
            line = f"{line} {word}" if line.strip() else line + word
    return [*lines, line]
