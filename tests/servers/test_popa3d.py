"""popa3d, standalone. It knows IPv4 only, and no TLS."""

from __future__ import annotations

from servers.clients import deeds
from servers.held import hold
from servers.stage import stage


def test_popa3d() -> None:
    with stage("popa3d") as here:
        here.account("popa3d")
        here.sh("mkdir -m 0755 /var/lib/popa3d")
        here.start("popa3d", "-D")
        here.wait_for_ports(110, v6=False)
        hold(here, deeds(["pop3"], ["clear"], v6=False), ["popa3d"])
