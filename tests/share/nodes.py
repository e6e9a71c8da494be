"""Daemons as nodes of one site: each with a log or without, a table of its own, and hubs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from daemon.controlled import status
from daemon.running import Site
from mta import PATIENCE, private_directory, wait_for
from pbs_fast.control import replies
from share.hubs import PASSWORD, SECRET, SITE, Hub


class Node(Site):
    """A Site that shares. `start` and `spawn` start its daemon; `log_of` gives it a log, else it only receives."""

    def __init__(
        self, name: str, hubs: Sequence[Hub], *, kind: str = "lmdb", logs: bool = True, **keys: object
    ) -> None:
        """`keys` are further ones of [share]; `trusts` is its `from`."""
        self.name = name
        self.follows = logs
        self._hubs = list(hubs)
        self._keys = {"trusts": ["*"], **keys}
        self._more = ""
        super().__init__(private_directory(f"node-{name}"), kind)

    def configure(self, text: str = "", **keys: object) -> None:
        """Write the configuration; `keys` replace those of [share]."""
        self._more, self._keys = text or self._more, self._keys | keys
        for name, content in (("share.secret", SECRET), ("hub.password", PASSWORD)):
            file = self.place / name
            if not file.exists():
                file.touch(0o600)
                file.write_text(f"{content}\n")
        values = {
            "hubs": [hub if isinstance(hub, str) else hub.url(self.name) for hub in self._hubs],
            "site": SITE,
            "node": self.name,
            "secret": f"{self.place}/share.secret",
            "from": self._keys["trusts"],
            **{key: value for key, value in self._keys.items() if key != "trusts"},
        }
        if ca := next((hub.ca for hub in self._hubs if not isinstance(hub, str) and hub.tls), None):
            values.setdefault("ca", str(ca))
        share = "".join(f"share.{key} = {_toml(value)}\n" for key, value in values.items())
        super().configure(f"{share}{self._more}")

    def arguments(self, *more: str) -> list[str]:
        """The options that point a daemon here."""
        found = super().arguments(*more)
        return found if self.follows else [each.replace(f"--watchlog={self.log}", "--watchlog=none:") for each in found]

    def status(self) -> replies.Status:
        """The daemon's state."""
        return status(self)

    def wait_status(
        self, what: str, probe: Callable[[replies.Status], bool], seconds: float = PATIENCE
    ) -> replies.Status:
        """Wait until the state is as the probe wants it."""
        try:
            wait_for(what, lambda: probe(self.status()), seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.status()}\n{self.said()}") from None
        return self.status()

    def wait_up(self) -> replies.Status:
        """Wait until all its hubs are up."""
        return self.wait_status("all hubs up", lambda state: all(hub["state"] == "up" for hub in state["hubs"]))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


NewNode = Callable[..., Node]


@contextmanager
def nodes() -> Iterator[NewNode]:
    """Makes nodes (the arguments are Node's); their daemons end with the block."""
    with ExitStack() as stack:

        def make(*arguments: object, **options: object) -> Node:
            node = Node(*arguments, **options)  # type: ignore[arg-type]
            stack.callback(shutil.rmtree, node.place, ignore_errors=True)
            stack.callback(node.close)
            return node

        yield make
