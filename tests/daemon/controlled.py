"""Asking the daemon of a Site over its own sockets."""

from __future__ import annotations

from typing import TypeVar

from daemon.running import Site
from pbs_fast.control import replies, why_reply
from pbs_fast.control.client import ask, socket_of, stream
from pbs_fast.control.protocol import Grant, List, Request, Revoke, Status, Why

R = TypeVar("R")


def asked(site: Site, request: Request[R]) -> R:
    """The reply of the site's daemon."""
    return ask(socket_of(site.place / "run", request), request, patience=20.0)


def status(site: Site) -> replies.Status:
    """Its state."""
    return asked(site, Status())


def why(site: Site, ip: str) -> why_reply.Why:
    """Its words on an address."""
    return asked(site, Why(ip=ip))


def listed(site: Site) -> dict[str, replies.Row]:
    """All its rows by address."""
    pages = stream(socket_of(site.place / "run", List()), List(), patience=20.0)
    return {row["ip"]: row for page in pages for row in page["rows"]}


def granted(site: Site, ip: str, seconds: int = 600, reason: str = "ticket 4711") -> replies.Granted:
    """A manual grant."""
    return asked(site, Grant(ip, seconds, reason))


def revoked(site: Site, *, seconds: int | None = None, **whom: str) -> replies.Revoked:
    """A manual denial."""
    return asked(site, Revoke(**whom, for_s=seconds, reason="stolen password"))
