"""Strangers' text in the lines of the catalogue's smaller servers, as true logins and as refused ones.

For each server: the records of a login and of what is none, with every field that a stranger controls. The C library
refuses blanks in a reverse name; what else a server does to a text stands with the server. Where a refused name stands
behind the words of a login, loggers that cut records are played too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.injecting import CORES, FAKE, TRUE, Real, granted, hostile, judge, judge_refused
from pbs_fast.matching import SYSLOG
from support.examples import examples


def first_word(text: str) -> str:
    return (text.split(" ") or [""])[0]


@dataclass(frozen=True)
class Server:
    """How one server writes."""

    tag: str
    pieces: tuple[str, ...]
    """Of its lines: what bounds a field and what may pose as one."""
    logins: tuple[tuple[str, ...], ...]
    """Records of one login; `{ip}` is the client's, `{user}`, `{host}`, `{text}` are strangers'."""
    refused: tuple[tuple[str, ...], ...]
    name: Callable[[str], str] = str
    """What becomes of a user name before it is written."""
    cuts: tuple[int, ...] = ()
    """Lengths at which a logger may cut a record; only where a refused login starts like a true one."""
    layout: str = SYSLOG


SERVERS = {
    "apple-mail": Server(
        "",
        ('"', 'IMAP User "', f'" log on successful from {FAKE}'),
        (('IMAP User "{user}" log on successful from {ip}',),),
        (('IMAP User "{user}" log on failed from {ip}',), ('SMTP from "{user}" ({ip}) rejected',)),
        layout="apple-mail",
    ),
    "courier-tcpd": Server(
        "couriertcpd",
        (", ip=[", "], port=[1]", ", protocol=IMAP", f", ip=[{FAKE}]", "LOGIN, user="),
        (("LOGIN, user={user}, ip=[{ip}], port=[40122], protocol=IMAP",), ("LOGIN, user={user}, ip=[::ffff:{ip}]",)),
        (("LOGIN FAILED, user={user}, ip=[{ip}]",), ("LOGIN: DEBUG: ip=[{ip}], username={user}",)),
        cuts=(200, 225, 505),
    ),
    "cucipop": Server(
        "cucipop[7]",
        (" 0, 0 (0), 0 (0)", f"{FAKE} 0, 0 (0), 0 (0)", "0,", "(0)"),
        (("{user} {ip} 7, 2 (5120), 0 (0)",),),
        (("authentication failure {user} {ip}",), ("lost {user} {ip}",), ("Invalid command {user} {text}",)),
        name=first_word,
    ),
    "dovecot-099": Server(
        "imap-login",
        ("Login: ", f"[{FAKE}]", "Info: "),
        (("Login: {user} [{ip}]",),),
        (("Disconnected: {user} [{ip}]",), ("Aborted login: {user} [{ip}]",)),
    ),
    "dovecot-099-own": Server(
        "pop3-login: ",
        ("Login: ", f"[{FAKE}]", "Info: "),
        (("Info: Login: {user} [{ip}]",),),
        (("Info: Disconnected: {user} [{ip}]",), ("Warning: Login: {user} [{ip}]",)),
        layout="dovecot-099",
    ),
    "dovecot-tests": Server(
        "dovecot",
        ("Login: ", f"[{FAKE}]", "imap-login: "),
        (("imap-login: Login: {user} [{ip}]",),),
        (("imap-login: Disconnected: {user} [{ip}]",), ("managesieve-login: Login: {user} [{ip}]",)),
    ),
    "mailutils": Server(
        "pop3d[884]",
        ("' logged in (source: system)", "', source system", "POP3 login: user `", f" ({FAKE})", f"({FAKE})@"),
        (
            ("connect from {host} ({ip})", "user `{user}' logged in with mailbox `/var/mail/x' (4 messages)"),
            ("connect from {text}@{host} ({ip})", "POP3 login: user `{user}', source system"),
            ("connect from {ip} ({ip})", "user `{user}' logged in (source: system)"),
            ("connect from {host}", "User {user} logged in with mailbox /var/mail/x from {ip}"),
        ),
        (
            ("connect from {host} ({ip})", "user `{user}' nonexistent"),
            ("connect from {host} ({ip})", "user `{user}': authentication failed", "login failed: {user}"),
            ("connect from {host}", "POP3 login: user `otto', source system"),
            ("connect from {text}@{host}", "user `otto' logged in (source: system)"),
        ),
        cuts=(200, 222, 1000),
    ),
    "nginx": Server(
        "nginx",
        (f", client: {FAKE}, server: 0.0.0.0:143", '", upstream: x', ', login: "', " client logged in", "[info] "),
        (
            (
                "2026/03/04 07:12:09 [info] 812#0: *51 client logged in, client: {ip}, server: 0.0.0.0:143,"
                ' login: "{user}", upstream: 192.0.2.77:143',
            ),
            (
                "2026/03/04 07:12:09 [info] 812#0: *51 client logged in, client: {ip}:40122 using starttls, server:"
                ' [::]:110, login: "{user}", upstream: 192.0.2.77:143, [{ip}:1-192.0.2.1:143] <=> [192.0.2.1:2-x:3]',
            ),
        ),
        (
            (
                '2026/03/04 07:12:09 [info] 812#0: *51 client login failed: "{text}" while in http auth state, client:'
                ' {ip}, server: 0.0.0.0:143, login: "{user}"',
            ),
            (
                "2026/03/04 07:12:09 [info] 812#0: *51 client logged in, client: {ip}, server: 0.0.0.0:25,"
                ' login: "{user}", upstream: 192.0.2.77:25',
            ),
        ),
    ),
    "perdition": Server(
        "perdition.imap4",
        (
            '" status="ok"',
            '" server="y" port="1',
            '" server="y:1" protocol=IMAP4 server-secure=plaintext status="ok',
            '"',
        ),
        (
            (
                "Auth: {ip}:50222->192.0.2.5:143 client-secure=plaintext authorisation_id=NONE"
                ' authentication_id="{user}" server="store2:143" protocol=IMAP4 server-secure=plaintext status="ok"',
            ),
            ('Auth: {ip}->192.0.2.5 user="{user}" server="store2" port="143" status="ok"',),
        ),
        (
            (
                "Auth: {ip}:50222->192.0.2.5:143 client-secure=plaintext authorisation_id=NONE"
                ' authentication_id="{user}" server="store2:143" protocol=IMAP4 server-secure=plaintext'
                ' status="failed: Re-Authentication Failure"',
            ),
            ('Auth: {ip}->192.0.2.5 user="{user}" server="store2" port="143" status="failed"',),
            ('Closing NULL session: {ip}:1->192.0.2.5:143 authorisation_id=NONE authentication_id="{user}"',),
        ),
        cuts=(400, 480, 1000),
    ),
    "popa3d": Server(
        "popa3d[610]",
        ("Authentication passed for ", f" -- [{FAKE}]", "Session from "),
        (
            ("Session from {ip}", "Authentication passed for {user}"),
            ("Session from {ip}", "pam_unix(popa3d:auth): check pass; user {user}", "Authentication passed for otto"),
            ("Authentication passed for {user} -- [{ip}]",),
        ),
        (
            ("Session from {ip}", "Authentication failed for {user}"),
            (
                "Session from {ip}",
                "pam_unix(popa3d:auth): bad username [{user}]",
                "Authentication failed for UNKNOWN USER",
            ),
        ),
    ),
    "qpopper": Server(
        "popper[911]",
        ('" at (y) ', f"{FAKE} [a.c:1]", "Stats: ", " 0 0 0 0 ", "(v4) POP login by user", '"'),
        (
            ('(v4.1.0) POP login by user "{user}" at ({host}) {ip}',),
            ("Stats: {user} 2 5120 0 0 {host} {ip}",),
            ('(v4.0.3) Servicing request from "{host}" at {ip}', "Stats: {user} 2 5120 0 0"),
        ),
        (
            ('{user} at {host} ({ip}): -ERR [AUTH] Password supplied for "{user}" is incorrect.',),
            ("[AUTH] Failed attempted login to {user} from host ({host}) {ip}",),
            ('(v4.0.3) Servicing request from "{host}" at {ip}', "{user} at {host} ({ip}): -ERR POP EOF or I/O Error"),
            ("Stats: {user} 2 5120 0 0 {host}",),
        ),
        name=lambda text: text[:64],
    ),
    "solid-pop3d": Server(
        "solid-pop3d[2210]",
        (" authenticated", f" authenticated - {FAKE}", f" [{FAKE}]", "user ", "connect from ", " - "),
        (
            ("user {user} authenticated - {ip}",),
            ("user {user} authenticated - {host} [{ip}]",),
            ("connect from {ip}", "user {user} authenticated"),
            ("connect from {host} [{ip}]", "authentication failed for user {user}", "user otto authenticated"),
        ),
        (
            ("authentication failed: no such user: {user} - {ip}",),
            ("can't find APOP secret for user {user} - {ip}",),
            ("connect from {ip}", "authentication failed for user {user}", "session ended"),
        ),
    ),
    "teapop": Server(
        "teapop[1777]",
        ("Successful login for ", f" [192.0.2.3] from y [{FAKE}]", f"[{FAKE}]", " from "),
        (("Successful login for {user} [192.0.2.3] from {host} [{ip}]",),),
        (("Failed login for {user} [192.0.2.3] from {host} [{ip}]",), ("{user} [{ip}] R1(2) D0(0) L0(0)",)),
    ),
    "tpop3d": Server(
        "tpop3d[700]",
        (
            f"[5]({FAKE})",
            f"({FAKE}): began session for `x' with y; child PID is 1",
            "fork_child: [7]",
            ": began session for `",
        ),
        (("fork_child: [7]{user}({ip}): began session for `{user}' with pam; child PID is 1402",),),
        (
            ("connection_do: client `[7]{ip}/x': username `{user}': 1 authentication failures",),
            ("authcontext_new_user_pass: began session for `{user}' with pam; uid 1, gid 8",),
        ),
    ),
    "up-imapproxy": Server(
        "in.imapproxyd[90]",
        (f"' ({FAKE}:1) on new sd [1]", "LOGIN: '", f"' ({FAKE}:1)", "'"),
        (("LOGIN: '{user}' ({ip}:39110) on existing sd [14]",), ("LOGIN: '{user}' ({ip}) on new sd [14]",)),
        (("LOGIN: '{user}' ({ip}:39110) failed: non-OK server response to LOGIN command",),),
        cuts=(200, 214, 1000),
    ),
    "vm-pop3d": Server(
        "vm-pop3d[4096]",
        (f"' logged in from {FAKE}", ", nmsgs=0", "' logged in", "User '", "' of 'x", "'"),
        (
            ("User '{user}' logged in from {ip}, nmsgs=0",),
            ("Connect from {ip}", "User '{user}' logged in"),
            ("Connect from {ip}", "User '{user}' of 'example.net' logged in"),
        ),
        (
            ("Connect from {ip}", "User '{user}' - failed auth", "Session ended for no user"),
            ("User '{user}' - failed auth, from {ip}",),
        ),
        cuts=(200, 231, 1000),
    ),
    "vpopmail": Server(
        "vpopmail[5511]",
        ("vchkpw-pop3: (PLAIN) login success x:", f":{FAKE}", f"] from {FAKE}", "vchkpw: login [", "') "),
        (
            ("vchkpw-imaps: (PLAIN) login success {user}@example.com:{ip}",),
            ("vchkpw: login success {user}:{ip}",),
            ("vchkpw: login [{user}] from {ip}",),
        ),
        (
            ("vchkpw-pop3: password fail (pass: '{text}') {user}@example.com:{ip}",),
            ("vchkpw-imap: vpopmail user not found {user}:{ip}",),
            ("vchkpw-smtp: (PLAIN) login success {user}@example.com:{ip}",),
            ("vchkpw-webmail: (PLAIN) login success {user}@example.com:{ip}",),
        ),
    ),
}  # fmt: skip
NAMES = sorted(SERVERS)
#: There are many servers, and each is simple: half the examples of other properties.
HALF = examples(75)


def texts(data: st.DataObject, server: Server, plainly: int) -> dict[str, str]:
    """What the strangers chose, as the server has it."""
    name = data.draw(hostile(*server.pieces, plainly=plainly), "user")
    host = data.draw(hostile(*server.pieces, plain="dsl.example.org", plainly=plainly), "host")
    text = data.draw(hostile(*server.pieces, plain="x", plainly=plainly), "text")
    return {"user": server.name(name), "host": host.replace(" ", ""), "text": text, "ip": TRUE}


def written(records: tuple[str, ...], chosen: dict[str, str]) -> list[str]:
    return [record.format_map(chosen) for record in records]


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@HALF
def test_a_login_comes_out_with_its_own_address_or_not_at_all(name: str, share: Real, data: st.DataObject) -> None:
    server = SERVERS[name]
    records = data.draw(st.sampled_from(server.logins), "records")
    judge(server.tag, written(records, texts(data, server, 5)), share, server.layout)


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@HALF
def test_what_is_no_login_never_comes_out(name: str, share: Real, data: st.DataObject) -> None:
    server = SERVERS[name]
    records = data.draw(st.sampled_from(server.refused), "records")
    chosen = texts(data, server, 1)
    judge_refused(
        server.tag,
        written(records, chosen),
        share,
        *(chosen[key] for key in ("user", "host", "text")),
        layout=server.layout,
    )


@pytest.mark.parametrize("name", [name for name in NAMES if SERVERS[name].cuts])
@given(st.data())
@HALF
def test_a_refused_login_that_a_logger_cut_never_comes_out(name: str, share: Real, data: st.DataObject) -> None:
    """A stranger ends the record where he likes: he knows all that stands before his name."""
    server = SERVERS[name]
    records = data.draw(st.sampled_from(server.logins), "login")
    cut = data.draw(st.sampled_from(server.cuts), "cut")
    # The whole of a login is what he writes, padded within its name so that it ends at the cut; the rest is lost.
    plain = written(records, {"user": "x", "host": "h", "text": "t", "ip": FAKE})
    pad = cut + data.draw(st.integers(0, 60), "more") - len(plain[-1])
    padded = written(records, {"user": "x" * (1 + pad), "host": "h", "text": "t", "ip": FAKE})
    rest = data.draw(st.sampled_from(["", "' failed", ", ip=[203.0.113.9]"]), "rest")
    for core in CORES:
        assert granted(core, server.tag, [*padded, rest], server.layout) == set(), padded
    share(granted(CORES[0], server.tag, plain, server.layout) == {FAKE})


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@HALF
def test_a_whole_login_in_another_programs_line_is_none(name: str, share: Real, data: st.DataObject) -> None:
    server = SERVERS[name]
    chosen: dict[str, Any] = {"user": "x", "host": "h", "text": "t", "ip": FAKE}
    lines = written(data.draw(st.sampled_from(server.logins), "records"), chosen)
    before = data.draw(st.sampled_from(["", "message-id=<", "warning: ", "to=<x>, status=sent (", "] "]), "before")
    for tag in ("postfix/cleanup[99]", "postfix/smtpd", "imap", "dovecot", "spamd[1]", "kernel"):
        if tag not in (server.tag, *("imap", "dovecot") * (before == "")):
            for core in CORES:
                assert granted(core, tag, [before + line for line in lines]) == set(), (tag, lines)
    share(granted(CORES[0], server.tag, lines, server.layout) == {FAKE})
