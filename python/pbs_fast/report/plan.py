"""What to do, step by step, with numbers; and the files that go with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pbs_fast.errors import PbsError
from pbs_fast.report.findings import Findings, LoginFound
from pbs_fast.report.logins import ADDRESS_CAP, USER_CAPS
from pbs_fast.util.addresses import canonical
from pbs_fast.util.durations import exact
from pbs_fast.util.text import plural

#: File -> the verdicts whose logins are in it.
FILES = {
    "unused.txt": ("unused",),
    "can.txt": ("can",),
    "fixed.cidr": ("fixed",),
    "roaming.txt": ("roaming", "shared"),
    "device.txt": ("device",),
    "suspect.txt": ("suspect",),
}
#: How long the brown-out lasts, from when the file is made.
BROWN_OUT = timedelta(days=1)


class Step(NamedTuple):
    """One step of the plan."""

    title: str
    text: str


def plan(found: Findings) -> Iterator[Step]:
    """The steps in their order; those with nobody in them are left out."""
    if not found.logins:
        return
    count = {name: len(found.of(name)) for name in ("unused", "can", "fixed", "device", "roaming", "shared", "suspect")}
    if count["suspect"]:
        yield Step("look at the suspect", f"{plural(count['suspect'], 'login')}; a stolen password shows like this")
    caps = " and ".join(f"{rate.limit:,} in {exact(rate.seconds)}" for rate in USER_CAPS)
    yield Step(
        "rate limits in your MTA",
        f"recipients of a user: {caps}; of an address: {ADDRESS_CAP.limit:,} in {exact(ADDRESS_CAP.seconds)}",
    )
    if found.proposed is not None:
        each = next(each for each in found.graces if each.seconds == found.proposed)
        yield Step(
            "a shorter grace",
            f"grace = {each.seconds} instead of {found.grace}; it would have refused"
            f" {plural(each.messages, 'message')} of {plural(each.logins, 'login')}",
        )
    if off := count["unused"] + count["can"]:
        yield Step(
            "a day without",
            f"{plural(off, 'login does', 'logins do')} not need it: deny.toml, for a day, then for good",
        )
    if count["fixed"]:
        networks = len({network for login in found.of("fixed") for network in login.networks})
        yield Step("mynetworks", f"{plural(networks, 'network')} of {plural(count['fixed'], 'login')}, by fixed.cidr")
    if count["device"]:
        yield Step("a submission service", f"for the networks of {plural(count['device'], 'device')}")
    if letters := count["roaming"] + count["shared"]:
        yield Step("letters", f"write to {plural(letters, 'user')} who must set up SMTP AUTH, by roaming.txt")
    yield Step("the last day", "remove check_client_access and the daemon; keep the log and run this report again")


def write_files(found: Findings, directory: Path, *, now: datetime) -> list[Path]:
    """Write the files into a directory, which is made where it is missing; existing files are never replaced.

    `now` has a time zone. Raises PbsError.
    """
    texts = {"deny.toml": _deny(found, now)}
    texts |= {
        name: _cidr(found.of("fixed")) if name.endswith(".cidr") else _names(found, verdicts)
        for name, verdicts in FILES.items()
    }
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = directory / name
            with path.open("x", encoding="utf-8") as out:
                out.write(text)
            written.append(path)
    except FileExistsError as error:
        raise PbsError(f"{error.filename}: exists already; name an empty directory for the files") from None
    except OSError as error:
        raise PbsError(f"{error.filename}: {error.strerror}; name a directory that you may write to") from None
    return written


def _deny(found: Findings, now: datetime) -> str:
    """The deny list of a brown-out; its loader takes a file without tables too."""
    until = (now + BROWN_OUT).replace(microsecond=0)
    off = [*found.of("unused"), *found.of("can")]
    addresses = [ip for login in off if (ip := _address(login.name)) is not None]
    # A deny list names no empty user, and those whom a server logs so cannot be told apart.
    users = [login.name for login in off if login.name and _address(login.name) is None]
    text = (
        "# A day without POP-before-SMTP for those who do not need it. From when it is in place of the daemon's\n"
        "# deny.toml (and the daemon was reloaded) they get no grant, until the time below; then all is as before.\n"
    )
    if not off:
        return text + "# There are none.\n"
    if not users and not addresses:
        return text + "# They have no names.\n"
    text += f"\n[[deny]]\nuntil = {until.isoformat()}\n" + 'reason = "a day without POP-before-SMTP"\n'
    for key, values in (("users", users), ("addresses", addresses)):
        if values:
            text += f"{key} = [\n" + "".join(f"    {_quoted(value)},\n" for value in values) + "]\n"
    return text


def _address(name: str) -> str | None:
    """The address of a login without a user, which is its name in brackets; a user's name may begin with one too."""
    return canonical(name[1:-1]) if name.startswith("[") and name.endswith("]") else None


def _cidr(logins: list[LoginFound]) -> str:
    """Networks for mynetworks, each once, with the login in front (cidr_table(5): lines with # are comments)."""
    text = "# Each login here always came from its network: check that it is yours, then add it to mynetworks.\n"
    seen: set[str] = set()
    for login in logins:
        fresh = [network for network in login.networks if network not in seen]
        seen.update(fresh)
        if fresh:
            text += f"# {_one_line(login.name)}: {plural(login.messages, 'message')}\n"
            text += "".join(f"{network} permit\n" for network in fresh)
    return text


def _names(found: Findings, verdicts: tuple[str, ...]) -> str:
    return "".join(f"{_one_line(login.name)}\n" for verdict in verdicts for login in found.of(verdict))


def _one_line(name: str) -> str:
    """A name on a line of its own; what could end the line or turn its direction is escaped."""
    from pbs_fast.util.text import printable

    return printable(name)


def _quoted(text: str) -> str:
    """A basic string of TOML 1.0."""
    out = []
    for char in text:
        if char in '"\\':
            out.append(f"\\{char}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return f'"{"".join(out)}"'
