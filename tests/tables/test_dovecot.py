"""The private Dovecot itself: clients from any address, and a log that names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mta import dovecot, wait_for
from mta.dovecot import Layout, require_dovecot

#: What the first word after the timestamp is, in Dovecot's own log and in syslog.
TAG: dict[Layout, str] = {"own": r"", "syslog": r"hub dovecot: "}


@pytest.mark.parametrize("layout", ["own", "syslog"])
def test_logins_are_logged_with_the_address_of_the_proxy_header(layout: Layout, tmp_path: Path) -> None:
    require_dovecot()
    log = tmp_path / "mail.log"
    with dovecot.running(layout=layout, log=log) as server:
        assert server.login("imap", "203.0.113.9")
        assert server.login("pop3", "2001:db8::9", "bob")
        assert not server.login("imap", "203.0.113.10", "bob", "wrong")
        level = "Info: " if layout == "own" else ""
        timestamp = r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
        for name, user, address in (("imap", "ann@here.test", "203.0.113.9"), ("pop3", "bob", "2001:db8::9")):
            line = rf"{timestamp}{TAG[layout]}{name}-login: {level}Login: user=<{user}>, .*rip={address}, "
            wait_for(f"the line of {user}", lambda line=line: re.search(line, server.logged(), re.MULTILINE))  # type: ignore[misc]
        wait_for("the failure", lambda: "auth failed" in server.logged())
        assert not re.search(r"Login: .*rip=203\.0\.113\.10", server.logged())
