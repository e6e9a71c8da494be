"""What is to be done about each login; the first that holds decides."""

from __future__ import annotations

from collections.abc import Set

from pbs_fast.report.logins import ADDRESS_CAP, TRIED, USER_CAPS, Login

#: Verdict -> what it means, in the order of the report.
VERDICTS = {
    "unused": "logs in and never relays",
    "can": "uses SMTP AUTH elsewhere",
    "fixed": "relays from one address or small network, for the whole time",
    "device": "one greeting, no TLS, few recipients: a scanner or an appliance",
    "roaming": "relays from changing addresses",
    "shared": "several users behind its address",
    "suspect": "over a default cap, or on too many addresses",
}

#: More addresses on one day, and a login is suspect.
MOST_ADDRESSES = 20
#: Most recipients of a device's message.
_FEW = 5
#: A login that is always at one place was seen for that long, or for half of shorter logs.
_LONG = 7 * 86_400


def suspicions(login: Login) -> list[str]:
    """Why a login is suspect, in words that follow its name; empty where it is not."""
    found = []
    relaying = login.relaying
    if relaying is not None:
        by_rate = dict(zip(TRIED, relaying.refused, strict=False))
        if over := [str(rate) for rate in USER_CAPS if by_rate.get(rate)]:
            found.append(f"{relaying.most_an_hour:,} recipients in one hour, over {' and '.join(over)}")
        if relaying.refused_by_address:
            found.append(f"its address sent to more than {ADDRESS_CAP.limit} recipients in one hour")
    if login.most_addresses > MOST_ADDRESSES:
        found.append(f"{login.most_addresses:,} addresses on one day")
    return found


def verdict(login: Login, authenticated: Set[str], span: int) -> str:
    """The verdict on a login. `authenticated` are the case-folded users that were seen with SMTP AUTH, `span` the time
    that the logs cover, in seconds."""
    relaying = login.relaying
    if (relaying is not None or login.most_addresses > MOST_ADDRESSES) and suspicions(login):
        return "suspect"
    if relaying is None or not relaying.messages:
        return "unused"
    if login.user is not None and login.user.casefold() in authenticated:
        return "can"
    # Before `fixed`: behind an address that many share, mynetworks would let all of them relay.
    if relaying.shared * 2 >= relaying.messages:
        return "shared"
    if login.spread.fixed() is not None and login.last - login.first >= min(_LONG, span / 2):
        return "fixed"
    # Without a word about its sessions, only a greeting says that there is one device.
    seen = relaying.sessions or relaying.helos
    few = len(relaying.helos) <= 1 and relaying.max_recipients <= _FEW
    return "device" if seen and few and not relaying.tls else "roaming"
