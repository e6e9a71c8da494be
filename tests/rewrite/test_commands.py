"""`match`, `bench` and `run` read the same from the same file of entries, or of odd timestamps."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.running import Site
from pbs_fast.cli import main
from rewrite.wrapping import cri, docker

pytestmark = pytest.mark.system

A, B, C, D = "203.0.113.1", "2001:db8::2", "203.0.113.3", "203.0.113.4"
FORMAT = "%d/%b/%Y:%H:%M:%S %z"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def text(ip: str) -> str:
    return f"dovecot: imap-login: Login: user=<u>, method=PLAIN, rip={ip}, lip=192.0.2.10, TLS, session=<s>"


def odd(what: str, *, timestamp: str, part: bool = False) -> bytes:
    """A line of the site's own making; a part of one is none of its own."""
    when = time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ")
    return (time.strftime("%d/%b/%Y:%H:%M:%S +0000 ", when) + ("x: " if part else "") + what + "\n").encode()


Wrap = Callable[..., bytes]
WRAPS = pytest.mark.parametrize(
    ("wrap", "options"), [(docker, []), (cri, []), (odd, [f"--logtime={FORMAT}"])], ids=["docker", "cri", "logtime"]
)


def timestamp(ago: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def entries(wrap: Wrap) -> list[bytes]:
    """The past half hour, and one line of before it."""
    return [
        wrap("systemd: x", timestamp=timestamp(7200)),
        wrap(text(A), timestamp=timestamp(600)),
        wrap("dovecot: imap-login: Login: user=<x", timestamp=timestamp(500), part=True),
        wrap("y" if wrap is odd else text(D), timestamp=timestamp(500)),
        wrap(f"Mar  4 07:00:00 hub {text(B)}", timestamp=timestamp(400)),
    ]


@WRAPS
@pytest.mark.parametrize("core", ["rust", "python"])
def test_match_and_bench(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], core: str, wrap: Wrap, options: list[str]
) -> None:
    lines = entries(wrap) * 40
    log, packed = tmp_path / "a.log", tmp_path / "a.log.gz"
    log.write_bytes(b"".join(lines))
    packed.write_bytes(gzip.compress(log.read_bytes()))
    for file in (log, packed):
        assert main(["match", "--json", f"--core={core}", *options, str(file)]) == 0
        found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [(event["line"], event["ip"]) for event in found] == [
            (5 * i + line, ip) for i in range(40) for line, ip in ((2, A), (5, B))
        ]
        for threads in ("1", "3"):
            assert main(["bench", "--json", f"--core={core}", f"--threads={threads}", *options, str(file)]) == 0
            record = json.loads(capfd.readouterr().out)
            assert (record["lines"], record["logins"], record["distinct_ips"]) == (200, 80, 2)
    assert main(["bench", "--core=both", *options, str(log), str(packed)]) == 0


@WRAPS
def test_run(site: Site, wrap: Wrap, options: list[str]) -> None:
    if options:
        site.configure(f"logtime = '{FORMAT}'\n")
    site.log.write_bytes(b"".join(entries(wrap)))
    site.start()
    site.wait_rows(A, B)
    with site.log.open("ab", buffering=0) as log:
        log.write(wrap(text(C), timestamp=timestamp(0))[:-1])
        log.write(
            b"\n"
            + wrap("x", timestamp=timestamp(0), part=True)
            + wrap("y" if wrap is odd else text(D), timestamp=timestamp(0))
        )
    site.wait_rows(A, B, C)
    site.log.rename(site.log.with_name("mail.log.1"))
    site.log.write_bytes(wrap(text(D), timestamp=timestamp(0)))
    site.wait_rows(A, B, C, D)


def test_a_logtime_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str], site: Site) -> None:
    (tmp_path / "a.log").write_bytes(b"x\n")
    for command in ("match", "bench"):
        assert main([command, "--logtime=%Q", str(tmp_path / "a.log")]) == 2
        assert "logtime '%Q': %Q is not one of" in capfd.readouterr().err
    site.configure("logtime = '%Q'\n")
    status, _, error = site.spawn().end()
    assert status == 2
    assert "logtime '%Q': %Q is not one of" in error
