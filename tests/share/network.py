"""Network namespaces, each a host on one of two switches that a link joins; links are cut and joined by tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mta import unavailable
from mta.first_process import start_first

_LEFT, _RIGHT, _JOIN = "left", "right", "join"


class Host:
    """A namespace that lives as long as its first process."""

    def __init__(self) -> None:
        self._first = start_first(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"], "network namespace"
        )
        self.address = ""

    @property
    def pid(self) -> int:
        return self._first.pid

    @property
    def prefix(self) -> tuple[str, ...]:
        """What starts a command in there."""
        return ("nsenter", f"--target={self.pid}", "--net", "--")

    def ip(self, words: str, *, check: bool = True) -> None:
        """Run `ip WORDS` in there."""
        subprocess.run([*self.prefix, "ip", *words.split()], check=check, capture_output=True, text=True)

    def close(self) -> None:
        """End it, and all links into it."""
        self._first.kill()
        self._first.communicate()


class Network:
    """Two switches; a host's link has its name."""

    def __init__(self, left: Sequence[str], right: Sequence[str]) -> None:
        self._switch = Host()
        self.hosts: dict[str, Host] = {}
        for switch in (_LEFT, _RIGHT):
            self._switch.ip(f"link add {switch} type bridge", check=False)
        try:
            self._switch.ip(f"link add {_JOIN} type veth peer name {_JOIN}-r")
        except subprocess.CalledProcessError as error:
            self.close()
            unavailable(f"no bridge or veth can be made here ({error.stderr.strip()})")
        for device, switch in ((_JOIN, _LEFT), (f"{_JOIN}-r", _RIGHT)):
            self._switch.ip(f"link set {device} master {switch} up")
        for switch in (_LEFT, _RIGHT):
            self._switch.ip(f"link set {switch} up")
        for number, (name, switch) in enumerate([*((n, _LEFT) for n in left), *((n, _RIGHT) for n in right)], 1):
            host = self.hosts[name] = Host()
            host.address = f"10.77.0.{number}"
            self._switch.ip(f"link add {name} type veth peer name eth0 netns {host.pid}")
            self._switch.ip(f"link set {name} master {switch} up")
            host.ip(f"address add {host.address}/24 dev eth0")
            host.ip("link set eth0 up")

    def cut(self, link: str = _JOIN) -> None:
        """Nothing passes any more, and nobody is told: by default between the switches, else to a host."""
        self._switch.ip(f"link set {link} down")

    def join(self, link: str = _JOIN) -> None:
        """It passes again."""
        self._switch.ip(f"link set {link} up")

    def close(self) -> None:
        """End all."""
        for host in self.hosts.values():
            host.close()
        self._switch.close()


@contextmanager
def network(left: Sequence[str], right: Sequence[str]) -> Iterator[Network]:
    """One that ends with the block; the test is skipped (or fails under CI) where there can be none."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            unavailable(f"a network of namespaces needs {tool}")
    if os.geteuid() != 0:
        unavailable("a network of namespaces needs root")
    made = Network(left, right)
    try:
        yield made
    finally:
        made.close()
