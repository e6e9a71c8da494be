"""What the ledger takes from a batch: its logins, without timestamps that are ahead, and with shared texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import compress
from math import floor
from operator import not_
from typing import Any, Literal

from pbs_fast.events import MAX_AHEAD, Batch
from pbs_fast.ledger.counting import LoginRow

#: What becomes of rows timestamped more than MAX_AHEAD s ahead: `clamp` (live) counts them as of now, `reject`
#: (replay) takes none of them.
FutureTimestamp = Literal["clamp", "reject"]

#: Rows of a batch from which on its own few texts are shared enough.
_MANY = 256

#: Formats and hosts to share; a log with more hosts than that is under attack, and need not be stored well.
_MAX_TEXTS = 4_096


def without_ahead(
    batch: Batch, now: float, shift: int, ahead: FutureTimestamp
) -> tuple[Batch, list[tuple[str, int]], int]:
    """A batch without logins that are ahead of the clock, or with the clock for their timestamps.

    Returns also the logins that were rejected, by address and number, and the number of those that were clamped.
    `shift` is added to each timestamp to put it on the clock of `now`, in seconds.
    """
    limit, arrival = now + MAX_AHEAD - shift, floor(now) - shift
    is_ahead = [last > limit and kind == "login" for last, kind in zip(batch.last, batch.kind, strict=True)]
    if ahead == "reject":
        rejected = list(zip(compress(batch.ip, is_ahead), compress(batch.n, is_ahead), strict=True))
        return batch.select(map(not_, is_ahead)), rejected, 0
    first, last = (
        [arrival if late else timestamp for late, timestamp in zip(is_ahead, column, strict=True)]
        for column in (batch.first, batch.last)
    )
    return replace(batch, first=first, last=last), [], sum(compress(batch.n, is_ahead))


def login_rows(batch: Batch, formats: list[str], hosts: list[str]) -> Iterable[LoginRow]:
    """The logins of a batch whose sessions are not counted, with these texts in the place of its own."""
    columns: list[list[Any]] = [batch.ip, batch.first, batch.last, batch.n, batch.user_last, formats, hosts]
    if batch.kind.count("login") < len(batch):
        is_login = [kind == "login" for kind in batch.kind]
        columns = [list(compress(column, is_login)) for column in columns]
    return zip(*columns, strict=True)


class Texts:
    """One object for equal texts. Each live batch comes with its own: 120 bytes less a row."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def one(self, text: str) -> str:
        """The object for a text."""
        if len(self._kept) > _MAX_TEXTS:
            self._kept.clear()
        return self._kept.setdefault(text, text)

    def of(self, texts: list[str]) -> list[str]:
        """Those for a batch's column."""
        # Within a batch they are shared already, so where there are many rows there is nothing to win.
        if len(texts) >= _MANY:
            return texts
        if len(self._kept) > _MAX_TEXTS:
            self._kept.clear()
        return list(map(self._kept.setdefault, texts, texts))
