"""Drops what a hub holds of a node that is gone for good."""

from __future__ import annotations

from contextlib import closing

from pbs_fast.share.hub import WRITING
from pbs_fast.share.link import connect, words
from pbs_fast.share.message import nodes_of, stream_of
from pbs_fast.share.spec import HubUrl


def drop(url: HubUrl, password: str | None, ca: str | None, site: str, node: str) -> str | None:
    """Remove a node's stream and its name from a hub; None when done, else why not, in words.

    A hub whose ACL is that of docs/SHARING.md lets no node do it (NOPERM).
    """
    with closing(connect(url, password, ca, WRITING, "pbs-fast-forget")) as client:
        try:
            client.delete(stream_of(site, node))
            client.srem(nodes_of(site), node)
        except Exception as error:  # the library has many classes of its own, and the system's come through
            return words(error, url)
    return None


def by_hand(site: str, node: str) -> list[str]:
    """What the hub's administrator types into valkey-cli, or redis-cli."""
    return [f'DEL "{stream_of(site, node)}"', f'SREM "{nodes_of(site)}" {node}']
