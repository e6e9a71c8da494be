"""The reply to `why` as TypedDicts, as in `control/replies.py`: the daemon's part of the answer."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from pbs_fast.control.replies import Denial, Refusal, Row, StandingNotice


class TableAnswer(TypedDict):
    """What one table says about an address."""

    spec: str
    value: str | None
    """The value of its row; None without a row."""
    waiting: bool
    """A change of this address is not written yet."""
    failing: str | None


class CapUse(TypedDict):
    """How much of a cap a login or an address has used."""

    of: str
    """`user` or `address`."""
    what: str
    cap: str
    """As in the configuration: `200/1h`, `messages:100/1h`."""
    used: int
    limit: int
    refused: int
    """Recipients refused within the last hour."""
    text: str
    """`12 of 200 recipients in an hour`."""


class Mail(TypedDict):
    """A message that a table `policy:` saw."""

    at: str
    ip: str
    user: str | None
    queue_id: str | None
    """None: Postfix had not named it yet."""
    recipients: int


class Why(TypedDict):
    """The daemon's part of the answer to `why`; the command adds what the logs say."""

    ip: str | None
    user: str | None
    now: str
    ready: bool
    grace_s: int
    window_s: int
    """How far back a login may lie that explains a row."""
    guard: str | None
    """The guard that would refuse this address or user now; `local` for an address that may relay anyway."""
    rows: list[Row]
    """For an address at most one."""
    refusals: list[Refusal]
    """Of this address or user, the newest first, at most 1,000."""
    refused: dict[str, int]
    """Guard -> remembered refused logins of this address or user, all of them."""
    refusals_since: str | None
    """The oldest remembered refusal of anybody: before that nothing is known. None: nothing was forgotten."""
    denials: list[Denial]
    """Those that cover this address or user."""
    tables: list[TableAnswer]
    """All of them for an address; for a user those that fail while changes of the user's rows wait, without value."""
    notices: NotRequired[list[StandingNotice]]
    """The daemon's trouble that lasts, as in `status`. An older daemon does not send it."""
    caps: NotRequired[list[CapUse]]
    """Of this login, or of this address and the login of its row; empty without caps. An older daemon does not send
    it."""
    mail: NotRequired[list[Mail]]
    """What a table `policy:` saw of this address or login, the oldest first, at most 1,000 messages of a day."""
    logs: list[str]
    """The names of the followed logs."""
