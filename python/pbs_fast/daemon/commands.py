"""Requests of the control sockets, answered by the loop: which part answers which."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from pbs_fast.control import replies
from pbs_fast.control.protocol import (
    AnyRequest,
    Forget,
    Grant,
    List,
    Metrics,
    Ping,
    Refusals,
    Reload,
    RequestError,
    Revoke,
    Status,
    Undo,
    Watch,
    Why,
)

if TYPE_CHECKING:
    from pbs_fast.control.peers import Peer
    from pbs_fast.control.requests import Answer
    from pbs_fast.daemon.changes import Changes
    from pbs_fast.daemon.queries import Queries
    from pbs_fast.daemon.refusals import Refusals as RefusalRing
    from pbs_fast.daemon.status import StatusBoard

log = logging.getLogger(__name__)


class Commands:
    """Everything that the loop does for the control sockets."""

    def __init__(
        self,
        *,
        board: StatusBoard,
        queries: Queries,
        changes: Changes,
        refusals: RefusalRing,
        reload: Callable[[], replies.Reloaded],
        forget: Callable[[str], bool],
        ready: Callable[[], bool],
    ) -> None:
        self._board, self._queries, self._changes, self._refusals = board, queries, changes, refusals
        self._reload, self._ready, self._forget_node = reload, ready, forget

    def answer(self, request: AnyRequest, peer: Peer) -> Answer:
        """The reply, or its parts. Raises RequestError."""
        if request.changes:
            if not self._ready():
                raise RequestError("not_ready", "the daemon is still reading the logs; try again in some seconds")
            log.debug("control: %s of uid %d, pid %d", request.do, peer.uid, peer.pid)
        match request:
            case Status():
                return self._board.snapshot(ready=self._ready())
            case Why():
                return self._queries.why(request, ready=self._ready())
            case List():
                return self._queries.rows(request)
            case Refusals():
                return self._refusals.pages(request.ip, request.user)
            case Revoke():
                return self._changes.revoke(request, peer)
            case Grant():
                return self._changes.grant(request, peer)
            case Undo():
                return self._changes.undo(request, peer)
            case Forget():
                return self._forget(request)
            case Reload():
                return self._reload()
            case Ping() | Metrics() | Watch():
                raise RequestError("internal", f"{request.do} is answered elsewhere")
            case _:
                assert_never(request)

    def _forget(self, request: Forget) -> replies.Forgotten:
        return {"node": request.node, "forgotten": self._forget_node(request.node)}
