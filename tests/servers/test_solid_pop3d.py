"""solid-pop3d, standalone, as Debian builds it: with extended logging and IPv6. It knows no TLS.

Of a connection that is dropped after the login it says nothing.
"""

from __future__ import annotations

from servers.clients import deeds
from servers.held import hold
from servers.stage import stage


def test_solid_pop3d() -> None:
    with stage("solid-pop3d") as here:
        here.account("spop3d")
        here.sh("mkdir -p /var/lib/solid-pop3d/bulletins")
        here.start("solid-pop3d")
        here.wait_for_ports(110)
        hold(here, deeds(["pop3"], ["clear"]), ["solid-pop3d"], ends=["logout"])
