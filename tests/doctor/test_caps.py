"""Whom caps would have refused, by the logs of the last day."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pbs_fast.config import merge
from pbs_fast.config.read import read_file
from pbs_fast.doctor import caps
from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import Finding


def lines(user: str, ip: str, recipients: int, queue_id: str) -> str:
    """A login, and a message that is sent to other hosts."""

    def stamp(ago: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - ago))

    found = [
        f"{stamp(600)} mx1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.10, mpid=71, "
        "TLS, session=<9mVjWnQ7pQDLAHEF>",
        f"{stamp(590)} mx1 postfix/smtpd[7]: {queue_id}: client=unknown[{ip}]",
        f"{stamp(590)} mx1 postfix/qmgr[8]: {queue_id}: from=<{user}>, size=9, nrcpt={recipients} (queue active)",
    ]
    found += [
        f"{stamp(580)} mx1 postfix/smtp[9]: {queue_id}: to=<r{number}@elsewhere.test>, relay=mx.elsewhere.test"
        "[198.51.100.25]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
        for number in range(recipients)
    ]
    return "".join(f"{line}\n" for line in found)


def check(tmp_path: Path, text: str) -> list[Finding]:
    file = tmp_path / "pbs-fast.toml"
    (tmp_path / "networks").write_text("127.0.0.0/8\n")
    file.write_text(f'watchlog = "{tmp_path}/mail.log"\nmynetworks = ["{tmp_path}/networks"]\n{text}')
    return [*caps.check(Site(merge(read_file(str(file)), ()), ()))]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "mail.log"
    log.write_text(lines("anna", "203.0.113.1", 2, "4ZpX1c2Jz7") + lines("Scanner", "203.0.113.2", 9, "4ZpX1c2Jz8"))
    return log


def test_a_cap_that_ordinary_mail_meets_is_named_with_whom_it_meets(log: Path, tmp_path: Path) -> None:
    found = check(tmp_path, '[caps]\nuser = ["5/1h", "20/1d", "messages:1/1h"]\naddress = ["1/1h"]\n')
    assert [(each.code, each.level) for each in found] == [("caps", "warn"), ("caps", "ok")]
    assert found[0].evidence == (
        "the cap 5/1h would have refused mail of 1 login of 2 that relayed on the last day: Scanner"
    )
    assert found[0].advice.endswith(f"pbs-fast report --caps --since 1d {log}")
    assert found[1].evidence.startswith("20/1d: ")


@pytest.mark.usefixtures("log")
def test_an_exception_is_no_finding(tmp_path: Path) -> None:
    own = '[caps]\nuser = ["5/1h"]\n[[caps.except]]\nusers = ["scanner"]\nuser = ["10/1h"]\n'
    assert [each.evidence for each in check(tmp_path, own)] == [
        "5/1h, 10/1h: ordinary mail of the last day stays below"
    ]


def test_what_cannot_be_told(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(tmp_path, "") == []
    monkeypatch.setattr(caps, "MOST_BYTES", 10)
    (large,) = check(tmp_path, '[caps]\nuser = ["5/1h"]\n')
    assert (large.level, large.evidence) == ("skip", "cannot tell whom the caps would refuse: the logs are large")
    log.write_text("")
    (nobody,) = check(tmp_path, '[caps]\nuser = ["5/1h"]\n')
    assert (nobody.level, nobody.evidence) == ("note", "no login relayed on the last day, as far as the logs tell")
