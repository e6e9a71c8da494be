"""What a ledger knows, to be taken over by another one: by the next run, or by the present after a replay."""

from __future__ import annotations

from typing import NamedTuple

from pbs_fast.events import Grant
from pbs_fast.ledger.sessions import Key, Session


class State(NamedTuple):
    """Rows and open sessions; times in seconds on the ledger's clock."""

    rows: dict[str, Grant]
    """Each with the end that it has without its open sessions."""
    sessions: list[tuple[Key, Session]]

    def moved(self, by: int) -> State:
        """The same with all times moved by some seconds, from one clock to another."""
        return State(
            {ip: row._replace(expires=row.expires + by) for ip, row in self.rows.items()},
            [(key, session._replace(opened=session.opened + by)) for key, session in self.sessions],
        )

    def live(self, now: float, max_session: int) -> State:
        """What of it is still valid at a time on its clock."""
        sessions = [(key, session) for key, session in self.sessions if session.opened + max_session > now]
        open_ones = {session.ip for _, session in sessions}
        return State({ip: row for ip, row in self.rows.items() if row.expires > now or ip in open_ones}, sessions)
