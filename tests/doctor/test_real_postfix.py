"""What doctor says of lists of restrictions is what a running Postfix does with them."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import replace

import pytest

from mta import wait_for
from mta.postfix import ELSEWHERE, Postfix, require_postfix, running
from pbs_fast.config.settings import merge
from pbs_fast.doctor.postfix import check
from pbs_fast.doctor.site import Site
from pbs_fast.events import Grant
from pbs_fast.tables import open_table, parse

pytestmark = pytest.mark.system

GRANTED, STRANGER = "203.0.113.9", "198.51.100.7"
_GUIDE = "permit_mynetworks, permit_auth_destination, check_client_access TABLE, reject_unauth_destination"
#: Relay list, recipient list, further lines of main.cf.
LISTS: dict[str, tuple[str, str, list[str]]] = {
    "the guide": (_GUIDE, "", []),
    "the recipient list refuses": (_GUIDE, "permit_mynetworks, reject_unauth_destination", []),
    "both ask": (_GUIDE, "check_client_access TABLE, reject_unauth_destination", []),
    "the recipient list alone": ("", _GUIDE, []),
    "permit in the recipient list": (_GUIDE, "permit", []),
    "the relay list defers": ("permit_mynetworks, defer_unauth_destination", _GUIDE, []),
    "behind the refusal": ("permit_auth_destination, reject, check_client_access TABLE", "", []),
    "permit before the refusal": ("check_client_access TABLE, permit, reject_unauth_destination", "", []),
    "a policy service in place of a refusal": (
        "permit_auth_destination, check_client_access TABLE, check_policy_service inet:127.0.0.1:1",
        "",
        [],
    ),
    "permit in one list, a refusal in the other": (f"permit, {_GUIDE}", _GUIDE, []),
    "the refusal only warns": ("check_client_access TABLE, warn_if_reject reject_unauth_destination", "", []),
    "bare, by the recipient": ("permit_auth_destination, TABLE, reject", "", []),
    "the client list refuses": (_GUIDE, "", ["smtpd_client_restrictions = check_client_access static:no, reject"]),
    "the client list knows our table": (_GUIDE, "", ["smtpd_client_restrictions = check_client_access TABLE, reject"]),
    "a clause in braces before it": (
        "permit_auth_destination check_recipient_access inline:{ {x@y.z = reject } } check_client_access TABLE reject",
        "",
        [],
    ),
    "in mynetworks": ("permit_mynetworks, reject", "", ["mynetworks = 127.0.0.0/8 TABLE"]),
}


def _refused_to_start(postfix: Postfix) -> bool:
    """Connect, which makes the master start an smtpd; whether one said that its lists are open."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", postfix.port), timeout=5):
        return "specify at least one working instance" in postfix.logged()
    return False


@pytest.mark.parametrize("name", LISTS)
def test_a_list(name: str) -> None:
    require_postfix("lmdb")
    relay, recipient, more = LISTS[name]
    with running("lmdb:/nowhere", start=False) as postfix:
        spec = f"lmdb:{postfix.directory}/relay"
        table = open_table(spec)
        table.rebuild({GRANTED: Grant(2_000_000_000, None, "dovecot", "new")})
        table.close()
        main = postfix.config / "main.cf"
        lines = [
            main.read_text(),
            f"smtpd_relay_restrictions = {relay}",
            f"smtpd_recipient_restrictions = {recipient}",
            *more,
        ]
        main.write_text("\n".join(lines).replace("TABLE", spec) + "\n")
        postfix.forget_changes()
        settings = merge(None, ())
        settings = replace(settings, config=replace(settings.config, postconf=f"postconf -c {postfix.config}"))
        site = Site(settings, [parse(spec)])
        # It listens on loopback, and its clients come by XCLIENT from elsewhere.
        installation = site.postfix.installations[0]
        smtpd = installation.smtpds[0]
        outside = replace(smtpd, name="smtp/inet", settings={**smtpd.settings, "inet_interfaces": "all"})
        site.__dict__["postfix"] = replace(site.postfix, installations=(replace(installation, smtpds=(outside,)),))
        found = list(check(site))
        levels = {(each.code, each.level) for each in found}
        opened = any(each.code == "postfix.order" and "open relay" in each.evidence for each in found)

        if opened:
            postfix.launch()
            wait_for("smtpd's end", lambda: _refused_to_start(postfix), seconds=30)
            return
        postfix.start()
        assert postfix.rcpt(GRANTED, ELSEWHERE).relayed == (("postfix.wired", "ok") in levels), found
        assert not postfix.rcpt(STRANGER, ELSEWHERE).relayed, found
