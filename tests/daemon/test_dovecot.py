"""The whole chain with real servers: Dovecot writes the log, the daemon follows it, Postfix relays.

The client's address reaches Dovecot by a PROXY header and Postfix by XCLIENT.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from daemon.running import Site
from daemon.test_relay import GRACE, Hub, hub_of, postfix_of
from mta import dovecot
from mta.dovecot import Layout, Protocol, require_dovecot
from mta.postfix import require_postfix

IMAP4, POP4, IMAP6, POP6 = "203.0.113.21", "203.0.113.22", "2001:db8::21", "2001:db8::22"
CLIENTS: tuple[tuple[Protocol, str], ...] = (("imap", IMAP4), ("pop3", POP4), ("imap", IMAP6), ("pop3", POP6))


@pytest.mark.parametrize(("kind", "layout"), [("lmdb", "own"), ("hash", "syslog")])
def test_a_login_at_dovecot_opens_the_relay(kind: str, layout: Layout, new_site: Callable[[str], Site]) -> None:
    require_dovecot()
    require_postfix(kind)
    site = new_site(kind)
    with (
        dovecot.running(layout=layout, log=site.log) as server,
        postfix_of(site) as postfix,
        hub_of(site, postfix) as hub,
    ):
        one_hub(hub, server)


def one_hub(hub: Hub, server: dovecot.Dovecot) -> None:
    assert not any(hub.relays(client) for _, client in CLIENTS)
    for protocol, client in CLIENTS:
        assert server.login(protocol, client)
        hub.wait(client, True)
    assert not server.login("imap", "203.0.113.23", "bob", "wrong")
    assert not server.login("pop3", "203.0.113.24", "bob", "wrong")
    assert all(hub.relays(client) for _, client in CLIENTS)
    assert not hub.relays("203.0.113.23")
    hub.advance(GRACE)
    for _, client in CLIENTS:
        hub.wait(client, False)
    added = [line.split()[4] for line in hub.site.said().splitlines() if " added " in line]
    assert added == [client for _, client in CLIENTS], "those who logged in, and nobody else"
