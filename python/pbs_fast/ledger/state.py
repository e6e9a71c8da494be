"""What a ledger knows, to be taken over by another one: by the next run, or by the present after a replay."""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from pbs_fast.events import Grant
from pbs_fast.ledger.recognition import Server
from pbs_fast.ledger.sessions import Key, Session


class State(NamedTuple):
    """Rows and open sessions; times in seconds on the ledger's clock."""

    rows: dict[str, Grant]
    """Each with the end that it has without its open sessions."""
    sessions: list[tuple[Key, Session]]
    uncounted: tuple[Server, ...] = ()
    """Servers whose ends are not recognised."""

    def moved(self, by: int) -> State:
        """The same with all times moved by some seconds, from one clock to another."""
        return State(
            {ip: row._replace(expires=row.expires + by) for ip, row in self.rows.items()},
            [(key, session._replace(opened=session.opened + by)) for key, session in self.sessions],
            self.uncounted,
        )

    def live(self, now: float, grace: int, max_session: int) -> State:
        """The part that is still valid at a time on its clock; no row lasts longer than that of a login at that time.

        A login timestamped ahead of the clock (a log that is reprocessed, a checkpoint of a clock that was set back)
        would otherwise keep its row until that time comes.
        """
        latest = floor(now)
        sessions = [
            (key, session if session.opened <= latest else session._replace(opened=latest))
            for key, session in self.sessions
            if session.opened + max_session > now
        ]
        open_ones = {session.ip for _, session in sessions}
        rows = {
            ip: row if row.expires <= latest + grace else row._replace(expires=latest + grace)
            for ip, row in self.rows.items()
            if row.expires > now or ip in open_ones
        }
        return State(rows, sessions, self.uncounted)
