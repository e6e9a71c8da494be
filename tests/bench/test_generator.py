"""The generator: deterministic, of the shares it promises, and its truth is what both backends find, line by line."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from generate import main, write_both
from pbs_fast.bench.hublog import Options, iter_lines
from pbs_fast.bench.hublog.envelopes import ENVELOPES
from pbs_fast.bench.hublog.servers import FAKE
from pbs_fast.cli import main as program
from pbs_fast.matching import Backend

LINES = 20_000


def text(options: Options) -> bytes:
    return b"\n".join(line for line, _ in iter_lines(options))


def test_one_seed_one_log_another_seed_another() -> None:
    options = Options(lines=2_000, seed=5)
    assert text(options) == text(options)
    assert text(options) != text(Options(lines=2_000, seed=6))


def test_the_same_on_every_machine() -> None:
    assert hashlib.sha256(text(Options(lines=3_000))).hexdigest()[:16] == "ae827b4135c22413"


def test_a_shorter_log_is_the_beginning_of_a_longer_one() -> None:
    long = iter_lines(Options(lines=3_000))
    assert list(islice(long, 1_000)) == list(iter_lines(Options(lines=1_000)))


def test_shares() -> None:
    kinds: Counter[str] = Counter()
    formats: Counter[str | None] = Counter()
    size = v6 = 0
    ips = set()
    for line, truth in iter_lines(Options(lines=LINES)):
        size += len(line)
        kinds[truth.kind] += 1
        if truth.kind == "login" and truth.ip:
            formats[truth.format] += 1
            ips.add(truth.ip)
            v6 += ":" in truth.ip
    assert kinds["login"] == pytest.approx(0.08 * LINES, rel=0.01)
    assert kinds["logout"] > 0.04 * LINES
    assert kinds["missed"] > 5
    assert v6 == pytest.approx(0.15 * kinds["login"], rel=0.1)
    # The full-size log: 160,000 logins from about 90,000 addresses.
    assert len(ips) == pytest.approx(0.55 * kinds["login"], rel=0.05)
    assert size / LINES == pytest.approx(168, rel=0.05)
    assert set(formats) == {"courier-imap", "courier-pop3", "cyrus", "cyrus-rfc5424", "dovecot", "uw"}


def test_addresses_are_canonical_and_no_attackers_fake_is_among_them() -> None:
    ips = {truth.ip for _, truth in iter_lines(Options(lines=LINES)) if truth.ip}
    assert FAKE not in ips
    assert all(str(ipaddress.ip_address(ip)) == ip for ip in ips)


def test_attacks_are_in_it() -> None:
    posing = [line for line, truth in iter_lines(Options(lines=LINES)) if FAKE.encode() in line]
    assert len(posing) > 20
    assert {line.count(b"login") > 0 for line in posing} == {True, False}


def check(options: Options, log: Path, core: Backend, capfd: pytest.CaptureFixture[str]) -> int:
    """Hold `match --json --missed` against the truth, byte by byte; the number of records."""
    truth = log.with_suffix(".truth")
    write_both(log, truth, options)
    expected = truth.read_text().splitlines()
    status = program(["match", "--json", "--missed", "--log-timezone=UTC", f"--core={core.name}", str(log)])
    found = capfd.readouterr().out.splitlines()
    differing = [pair for pair in zip(found, expected, strict=False) if pair[0] != pair[1]]
    assert differing[:3] == []
    assert len(found) == len(expected)
    assert status == (3 if any('"missed"' in record for record in expected[-1:]) else 0)
    return len(expected)


def test_both_twins_find_the_truth(core: Backend, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert check(Options(lines=LINES, seed=3), tmp_path / "hub.log", core, capfd) > 0.12 * LINES


@pytest.mark.system
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_every_server_in_every_envelope(
    envelope: str, core: Backend, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = Options(lines=4_000, seed=7, envelopes=envelope)
    assert check(options, tmp_path / "hub.log", core, capfd) > 400


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, truth = tmp_path / "hub.log", tmp_path / "truth"
    assert main(["--lines=2000", "--seed=2", f"--out={out}", f"--truth={truth}"]) == 0
    totals = json.loads(capsys.readouterr().out)
    assert out.read_bytes() == text(Options(lines=2_000, seed=2)) + b"\n"
    assert totals["lines"] == 2_000
    assert totals["bytes"] == out.stat().st_size
    records = [json.loads(line) for line in truth.read_text().splitlines()]
    assert sum(record.get("event") == "login" for record in records) == totals["logins"]
    assert out.stat().st_mtime == int(Options().start + 2_000 / Options().rate)


def test_no_such_envelope() -> None:
    with pytest.raises(ValueError, match="no envelope 'rfc822'; there are: mixed, rfc3164"):
        next(iter_lines(Options(envelopes="rfc822")))
