"""What single lines of Postfix give, and what hostile ones do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbs_fast.matching.backends import Backend
from report.conftest import look
from report.town import START, Town, write

IP = "84.0.7.1"


@pytest.fixture
def granted() -> Town:
    """One login; what follows within its grace counts."""
    hub = Town()
    hub.person("a@example.org", "fixed")
    hub.login(START, "a@example.org", IP)
    return hub


def ways(core: Backend, hub: Town, tmp_path: Path) -> dict[str, int]:
    return look(core, [write(hub, tmp_path / "mail.log")]).ways


def out(
    hub: Town, queue: str, *, relay: str = "mx[198.51.100.1]:25", tag: str = "postfix/smtp", rest: str = "sent (ok)"
) -> None:
    hub.say(
        START + 3,
        tag,
        8,
        f"{queue}: to=<x@far.example>, relay={relay}, delay=1, delays=0/0/0/1, dsn=2.0.0, status={rest}",
    )


@pytest.mark.parametrize(
    ("client", "way"),
    [
        (f"client=unknown[{IP}]", "grant"),
        (f"client=host.example[{IP}]:40123", "grant"),
        (f"client=unknown[{IP}], sasl_method=PLAIN, sasl_username=a@example.org", "auth"),
        (f"client=unknown[{IP}], sasl_method=LOGIN, sasl_username=a, b@example.org, sasl_sender=x@y", "auth"),
        ("client=localhost[127.0.0.1]", "mynetworks"),
        (f"client=localhost[127.0.0.1], orig_client=unknown[{IP}]", "grant"),
        (f"client=localhost[127.0.0.1], orig_queue_id=5555555555, orig_client=unknown[{IP}]", "grant"),
        ("client=unknown[unknown]", None),
        ("client=unknown[84.0.7.2]", None),
        (f"client={IP}", None),
        ("client=", None),
    ],
)
@pytest.mark.parametrize("tag", ["postfix/smtpd", "postfix/submission/smtpd", "postfix/smtps/smtpd", "out/smtpd"])
def test_who_brings_a_message(
    core: Backend, granted: Town, tmp_path: Path, client: str, way: str | None, tag: str
) -> None:
    granted.say(START + 1, tag, 7, f"4bXyZ1234567890: {client}")
    out(granted, "4bXyZ1234567890")
    assert ways(core, granted, tmp_path) == {"grant": 0, "auth": 0, "mynetworks": 0} | ({way: 1} if way else {})


@pytest.mark.parametrize(
    ("relay", "tag", "counts"),
    [
        ("mx[198.51.100.1]:25", "postfix/smtp", True),
        ("mx[2001:db8::1]:25", "postfix/relay/smtp", True),
        ("none", "postfix/smtp", True),
        ("mx[198.51.100.1]:25", "postfix/lmtp", False),
        ("hub[private/dovecot-lmtp]", "postfix/lmtp", False),
        ("local", "postfix/local", False),
        ("virtual", "postfix/virtual", False),
        ("dovecot", "postfix/pipe", False),
        ("none", "postfix/error", False),
        ("127.0.0.1[127.0.0.1]:10024", "postfix/smtp", False),
    ],
)
def test_where_a_message_goes(core: Backend, granted: Town, tmp_path: Path, relay: str, tag: str, counts: bool) -> None:
    granted.say(START + 1, "postfix/smtpd", 7, f"ABCDEF123: client=unknown[{IP}]")
    out(granted, "ABCDEF123", relay=relay, tag=tag)
    assert ways(core, granted, tmp_path)["grant"] == counts


@pytest.mark.parametrize("rest", ["sent (ok)", "deferred (timed out)", "bounced (no such user)", "expired (too old)"])
def test_a_recipient_counts_once_whatever_became_of_it(core: Backend, granted: Town, tmp_path: Path, rest: str) -> None:
    granted.say(START + 1, "postfix/smtpd", 7, f"ABCDEF123: client=unknown[{IP}]")
    for _ in range(3):
        out(granted, "ABCDEF123", rest=rest)
    found = look(core, [write(granted, tmp_path / "mail.log")])
    assert (found.ways["grant"], found.logins[0].recipients) == (1, 1)


def test_a_before_queue_filter_keeps_who_authenticated(core: Backend, granted: Town, tmp_path: Path) -> None:
    granted.say(
        START + 1, "postfix/smtpd", 7, f"NOQUEUE: client=unknown[{IP}], sasl_method=PLAIN, sasl_username=b@example.org"
    )
    granted.say(START + 2, "postfix/smtpd", 9, f"ABCDEF123: client=localhost[127.0.0.1], orig_client=unknown[{IP}]")
    out(granted, "ABCDEF123")
    assert ways(core, granted, tmp_path) == {"grant": 0, "auth": 1, "mynetworks": 0}


@pytest.mark.parametrize("answered", [1, 9], ids=["before", "after"])
def test_a_filter_that_answers_before_or_after_the_delivery(
    core: Backend, granted: Town, tmp_path: Path, answered: int
) -> None:
    granted.say(START + 1, "postfix/smtpd", 7, f"ABCDEF123: client=unknown[{IP}]")
    granted.say(START + 1, "postfix/smtpd", 7, "4bXyZ1234567890: client=localhost[127.0.0.1]")
    answer = "sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4bXyZ1234567890)"
    to = "ABCDEF123: to=<x@far.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0"
    granted.say(START + answered, "postfix/smtp", 8, f"{to}, status={answer}")
    out(granted, "4bXyZ1234567890")
    assert ways(core, granted, tmp_path) == {"grant": 1, "auth": 0, "mynetworks": 0}


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("sshd", f"ABCDEF123: client=unknown[{IP}]"),
        ("sshd", f"Invalid user postfix/smtpd[7]: ABCDEF123: client=unknown[{IP}] from 203.0.113.1"),
        ("postfix/postscreen", f"ABCDEF123: client=unknown[{IP}]"),
        ("notpostfixsmtpd", f"ABCDEF123: client=unknown[{IP}]"),
        ("postfix/smtpd", f"warning: x: ABCDEF123: client=unknown[{IP}]"),
        ("postfix/smtpd", f"a b ABCDEF123: client=unknown[{IP}]"),
        ("postfix/cleanup", f"ABCDEF123: message-id=<: client=unknown[{IP}]>"),
        ("postfix/qmgr", f'ABCDEF123: from=<"a: client=unknown[{IP}]"@x>, size=1, nrcpt=1 (queue active)'),
    ],
)
def test_a_text_that_reads_like_a_line_is_none(
    core: Backend, granted: Town, tmp_path: Path, tag: str, message: str
) -> None:
    granted.say(START + 1, tag, 7, message)
    out(granted, "ABCDEF123")
    assert not any(ways(core, granted, tmp_path).values())


def test_the_same_queue_id_on_two_hosts_is_two_messages(core: Backend, granted: Town, tmp_path: Path) -> None:
    granted.say(START + 1, "postfix/smtpd", 7, f"ABCDEF123: client=unknown[{IP}]", host="one")
    granted.say(START + 2, "postfix/smtpd", 7, "ABCDEF123: client=unknown[203.0.113.9]", host="two")
    granted.say(
        START + 3, "postfix/smtp", 8, "ABCDEF123: to=<x@far>, relay=mx[198.51.100.1]:25, status=sent (ok)", host="two"
    )
    assert ways(core, granted, tmp_path)["grant"] == 0
