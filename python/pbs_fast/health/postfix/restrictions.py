"""Postfix's smtpd restriction lists, and how far a client comes in them.

Pure. Source of the facts: smtpd_check.c (generic_checks, smtpd_check_rcpt) and postconf(5) of Postfix 3.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

#: The lists that a RCPT passes, in Postfix's order, and the restriction that a bare `type:table` in them means.
LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "smtpd_client_restrictions": "check_client_access",
        "smtpd_helo_restrictions": "check_helo_access",
        "smtpd_sender_restrictions": "check_sender_access",
        "smtpd_relay_restrictions": "check_recipient_access",
        "smtpd_recipient_restrictions": "check_recipient_access",
    }
)
#: Lists of later commands, where nothing is decided about relaying.
LATER: Final = ("smtpd_data_restrictions", "smtpd_end_of_data_restrictions")
#: The two that decide about relaying: both must let a recipient through.
RELAY, RECIPIENT = "smtpd_relay_restrictions", "smtpd_recipient_restrictions"
#: The restriction that looks a client's address up.
BY_CLIENT = "check_client_access"
BY_POLICY = "check_policy_service"
MYNETWORKS = "permit_mynetworks"
#: It lets mail to our own domains pass, so it belongs in front of our table.
OWN_FIRST = "permit_auth_destination"

#: They refuse a recipient elsewhere to every client that came so far.
_REFUSE = frozenset(
    {
        "reject",
        "defer",
        "reject_unauth_destination",
        "defer_unauth_destination",
        "check_relay_domains",
        "defer_if_permit",
    }
)
_TAKES_ARGUMENT = re.compile(
    r"check_(?!relay_domains$).*|reject_rbl_client|reject_rhsbl_.*|permit_(?:dnswl|rhswl)_client|sleep"
)
_ONLY_WARNS = "warn_if_reject"


class Restriction(NamedTuple):
    """One of a list."""

    name: str
    """In lower case: Postfix ignores the case of its own names."""
    argument: str
    """The table, service or domain that follows it; "" where none does."""
    only_warns: bool
    """`warn_if_reject` precedes it, so it refuses nobody."""


def split(text: str) -> list[str]:
    """The words of a list: separated by commas and blanks outside braces."""
    words: list[str] = []
    word, depth = "", 0
    for character in text:
        if character in ", \t\r\n" and depth == 0:
            if word:
                words.append(word)
            word = ""
            continue
        depth = max(0, depth + (character == "{") - (character == "}"))
        word += character
    return [*words, word] if word else words


def parse_list(text: str, default: str) -> list[Restriction]:
    """The restrictions of a list whose variables are expanded; `default` is what a bare `type:table` means."""
    return list(_restrictions(iter(split(text)), default))


def _restrictions(words: Iterator[str], default: str) -> Iterator[Restriction]:
    only_warns = False
    for word in words:
        name = word.lower()
        if name == _ONLY_WARNS:
            only_warns = True
            continue
        if _TAKES_ARGUMENT.fullmatch(name):
            yield Restriction(name, next(words, ""), only_warns)
        elif ":" in word:
            yield Restriction(default, word, only_warns)
        else:
            yield Restriction(name, "", only_warns)
        only_warns = False


End = Literal["granted", "refused", "permitted", "through", "class"]


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a client without SASL, certificate and mynetworks comes in one list, with a recipient elsewhere."""

    end: End
    """`granted`: our table lets it pass; `permitted`: `permit` does; `through`: the list ends; `class`: it meets a
    restriction class that names our table."""
    at: int
    """The place in the list, from 0; its length for `through`."""
    word: str = ""
    """The name of the restriction that decides."""


def walk(
    restrictions: Sequence[Restriction],
    *,
    grants: Callable[[Restriction], bool],
    is_opaque: Callable[[Restriction], bool],
) -> Walk:
    """Follow a list. `grants`: our table is asked here and has the client; `is_opaque`: only Postfix can tell.

    Other look-ups are taken to say nothing about the client: they are for mail that the site does not want.
    """
    for at, each in enumerate(restrictions):
        if is_opaque(each):
            return Walk("class", at, each.name)
        if grants(each):
            return Walk("granted", at, each.name)
        if each.name == "permit":
            return Walk("permitted", at, each.name)
        if each.name in _REFUSE and not each.only_warns:
            return Walk("refused", at, each.name)
    return Walk("through", len(restrictions))
