"""`pbs-fast bench`: keys and figures of its output, both backends, tables, and bad use."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.cli import main
from pbs_fast.matching import Backend
from pbs_fast.tables import list_rows

EXAMPLE = Path(__file__).parents[2] / "examples" / "hub.log"
KEYS = [
    *("files", "bytes", "lines", "seconds", "lines_per_s", "mb_per_s", "core", "threads", "logins", "logouts"),
    *("distinct_ips", "granted", "expired", "digest", "peak_rss_mb", "stages"),
]
STAGES = ["read", "scan", "fold", "ledger", "table"]

Output = pytest.CaptureFixture[str]


def bench(capfd: Output, *args: str) -> dict[str, Any]:
    assert main(["bench", "--json", "--log-timezone=UTC", *args]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    result: dict[str, Any] = json.loads(out)
    return result


def test_keys_and_figures(core: Backend, capfd: Output) -> None:
    found = bench(capfd, f"--core={core.name}", "--threads=2", str(EXAMPLE))
    assert list(found) == KEYS
    assert list(found["stages"]) == STAGES
    assert found["seconds"] > 0
    assert found["peak_rss_mb"] > 5
    assert found["lines_per_s"] == pytest.approx(59 / found["seconds"], rel=0.01)
    assert {key: found[key] for key in ("files", "bytes", "lines", "core", "threads", "logins", "logouts")} == {
        "files": 1,
        "bytes": EXAMPLE.stat().st_size,
        "lines": 59,
        "core": core.name,
        "threads": 2,
        "logins": 20,
        "logouts": 8,
    }
    assert (found["distinct_ips"], found["granted"], found["expired"]) == (18, 18, 0)


def test_a_short_grace_ends_grants(core: Backend, capfd: Output) -> None:
    found = bench(capfd, f"--core={core.name}", "--grace=30", str(EXAMPLE))
    # Lena comes back after 162 s; the last line, at 08:02:51, is hers.
    assert (found["granted"], found["distinct_ips"]) == (19, 18)
    assert 10 < found["expired"] < 19


def test_the_digest_is_that_of_the_events_that_match_shows(core: Backend, capfd: Output) -> None:
    digest = bench(capfd, f"--core={core.name}", str(EXAMPLE))["digest"]
    assert main(["match", "--json", "--log-timezone=UTC", str(EXAMPLE)]) == 0
    latest: dict[str, str] = {}
    for line in capfd.readouterr().out.splitlines():
        event = json.loads(line)
        if event["event"] == "login":
            latest[event["ip"]] = max(latest.get(event["ip"], ""), event["time"])
    seconds = subprocess.run(
        ["date", "-u", "-f", "-", "+%s"], input="\n".join(latest.values()), capture_output=True, text=True, check=True
    ).stdout.split()
    lines = sorted(f"{ip} {second}\n".encode() for ip, second in zip(latest, seconds, strict=True))
    assert hashlib.sha256(b"".join(lines)).hexdigest() == digest


def test_both_twins_in_one_object(capfd: Output) -> None:
    found = bench(capfd, "--core=both", str(EXAMPLE))
    assert list(found) == [*KEYS, "runs"]
    assert found["core"] == "both"
    assert [each["core"] for each in found["runs"]] == ["rust", "python"]
    assert [list(each) for each in found["runs"]] == [KEYS, KEYS]


def test_twins_that_disagree_are_a_failure(capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    from pbs_fast.matching.python.stream import Stream

    honest = Stream.take

    def lying(self: Stream) -> Any:
        batch = honest(self)
        batch.last[0] += 1
        return batch

    monkeypatch.setattr(Stream, "take", lying)
    assert main(["bench", "--core=both", "--json", str(EXAMPLE)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("pbs-fast bench: the backends disagree about these logs: digest ")
    assert err.count("\n") == 1


def test_an_empty_log(core: Backend, tmp_path: Path, capfd: Output) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    found = bench(capfd, f"--core={core.name}", str(empty), str(empty))
    assert (found["files"], found["lines"], found["granted"], found["lines_per_s"]) == (2, 0, 0, 0)
    assert found["digest"] == hashlib.sha256(b"").hexdigest()


def test_compressed_and_from_standard_input() -> None:
    text = EXAMPLE.read_bytes()
    command = [sys.executable, "-m", "pbs_fast", "bench", "--json", "--log-timezone=UTC", "--now=2026-11-22", "-", "-"]
    for data in (text, gzip.compress(text)):
        done = subprocess.run(command, input=data, capture_output=True, check=True)
        found = json.loads(done.stdout)
        assert (found["files"], found["bytes"], found["logins"]) == (2, len(text), 20)


def test_standard_input_is_read_once(capfd: Output) -> None:
    for options, said in ((["--core=both"], "--core=both"), (["--repeat=2"], "--repeat=2")):
        assert main(["bench", *options, "-"]) == 2
        line = f"{said} reads the logs more than once, and standard input can be read once; name a file"
        assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")


def test_patterns_that_no_shell_expanded(tmp_path: Path, capfd: Output) -> None:
    text = EXAMPLE.read_bytes()
    for name in ("mail.log", "mail.log.1", "other"):
        (tmp_path / name).write_bytes(text)
    (tmp_path / "mail.log.2.gz").write_bytes(gzip.compress(text))
    assert bench(capfd, f"{tmp_path}/mail.log*")["files"] == 3
    assert bench(capfd, f"{tmp_path}/mail.log.[12]*", f"{tmp_path}/other")["files"] == 3
    # A file may be called like a pattern.
    (tmp_path / "mail.log*").write_bytes(text)
    found = bench(capfd, f"{tmp_path}/mail.log*")
    assert (found["files"], found["lines"]) == (1, 59)
    assert main(["bench", f"{tmp_path}/none*.log"]) == 1
    line = f"{tmp_path}/none*.log: matches no file; name an existing log, or - for standard input"
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")


@pytest.mark.parametrize("kind", ["lmdb", "null"])
def test_table_writes_are_timed_and_nothing_stays(tmp_path: Path, capfd: Output, kind: str) -> None:
    spec = f"{kind}:{tmp_path}/relay"
    for _ in range(2):
        found = bench(capfd, f"--table={spec}", "--core=both", str(EXAMPLE))
        assert found["stages"]["table"] > 0
        assert found["granted"] == 18
    assert list_rows(spec) == []


def test_every_grant_reaches_the_table(tmp_path: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    from pbs_fast.events import Delta
    from pbs_fast.tables.types.null import NullTable

    seen: list[Delta] = []
    monkeypatch.setattr(NullTable, "apply", lambda _, delta: seen.append(delta))
    bench(capfd, "--table=null:", "--grace=30", str(EXAMPLE))
    keys = {key for delta in seen for key in delta.set}
    assert len(keys) == 18
    assert {key for delta in seen for key in delta.removed} < keys
    assert tmp_path.exists()


def test_a_table_with_rows_may_be_in_use(tmp_path: Path, capfd: Output) -> None:
    from pbs_fast.events import Grant
    from pbs_fast.tables import open_table

    spec = f"lmdb:{tmp_path}/relay"
    table = open_table(spec)
    table.rebuild({"203.0.113.9": Grant(2_000_000_000, "u", "dovecot", "new")})
    table.close()
    assert main(["bench", f"--table={spec}", str(EXAMPLE)]) == 2
    assert capfd.readouterr().err == (
        f"pbs-fast bench: --table={spec}: holds 1 rows, so it may be in use; name a new table\n"
    )
    assert list_rows(spec) == [("203.0.113.9", "ok")]


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        ([], 2, "LOG is missing; see: pbs-fast bench --help"),
        (["--core=booth", "x"], 2, "--core=booth: no such core; did you mean both?"),
        (["--core=rst", "x"], 2, "--core=rst: no such core; did you mean rust? (auto, rust, python)"),
        (["--table=lmbd:x", "x"], 2, "table 'lmbd:x': there is no table type lmbd:; did you mean lmdb:?"),
        (["none.log"], 1, "none.log: no such file; name an existing log, or - for standard input"),
        (["/"], 1, "/: is a directory; name the log files in it"),
    ],
)
def test_faults_are_one_line(args: list[str], status: int, line: str, capfd: Output) -> None:
    assert main(["bench", *args]) == status
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")


@pytest.mark.parametrize("option", ["--threads", "--grace"])
def test_numbers_start_at_1(option: str, capfd: Output) -> None:
    assert main(["bench", f"{option}=0", "x"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"pbs-fast bench: {option}: ")
    assert err.count("\n") == 1


def test_a_cut_file_gives_no_figures(tmp_path: Path, capfd: Output) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(EXAMPLE.read_bytes())[:-20])
    assert main(["bench", "--json", str(cut)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "cut.gz: cut off within its gzip data" in err
    assert err.count("\n") == 1


def test_repeated_runs_give_the_median_one(capfd: Output) -> None:
    found = bench(capfd, "--core=rust", "--repeat=4", str(EXAMPLE))
    assert list(found) == [*KEYS, "repeat"]
    repeat = found["repeat"]
    ordered = sorted(repeat["seconds"])
    assert (repeat["runs"], len(ordered)) == (4, 4)
    assert found["seconds"] == repeat["median"] == ordered[1]
    assert (repeat["min"], repeat["max"]) == (ordered[0], ordered[-1])
    assert repeat["spread"] == pytest.approx((ordered[-1] - ordered[0]) / ordered[1], abs=0.001)


def test_repeated_runs_of_both(capfd: Output) -> None:
    found = bench(capfd, "--core=both", "--repeat=2", "--table=null:", str(EXAMPLE))
    assert [(each["core"], each["repeat"]["runs"]) for each in found["runs"]] == [("rust", 2), ("python", 2)]


def test_a_generated_log_is_checked_and_gone(capfd: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["bench", "--json", "--core=both", "--generate=3000"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["lines"], found["logins"]) == (3_000, 240)
    assert list(tmp_path.iterdir()) == []


def test_a_generated_log_that_is_kept(capfd: Output, tmp_path: Path) -> None:
    kept = tmp_path / "hub.log"
    assert main(["bench", "--json", "--generate=2000", f"--keep={kept}"]) == 0
    generated = json.loads(capfd.readouterr().out)
    assert kept.read_bytes().count(b"\n") == 2_000
    assert bench(capfd, str(kept))["digest"] == generated["digest"]
    assert main(["bench", "--generate=2000", f"--keep={kept}"]) == 1
    line = f"{kept}: already exists; name a new file for the generated log"
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")


def test_a_generated_log_that_is_read_wrongly(capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    from pbs_fast.matching.python.stream import Stream

    honest = Stream.take

    def lying(self: Stream) -> Any:
        batch = honest(self)
        batch.last[:] = [last + 1 for last in batch.last]
        return batch

    monkeypatch.setattr(Stream, "take", lying)
    assert main(["bench", "--core=python", "--generate=1000"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("pbs-fast bench: the generated log was read wrongly (python): digest ")
    assert err.count("\n") == 1


def test_no_room_for_a_generated_log(capfd: Output) -> None:
    assert main(["bench", "--generate=1000", "--keep=/dev/full/x"]) == 1
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("pbs-fast bench: /dev/full/x: cannot write the generated log (about 1 MB): ")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--keep=x", "y"], "--keep needs --generate"),
        (["--generate=5", "x"], "--generate and LOG do not go together; leave one out"),
        (["--generate=5", "--now=2026-01-01"], "--now and --generate do not go together; leave one out"),
        (["--generate=5", "--logtime=%s"], "--logtime and --generate do not go together; leave one out"),
        (["--plot=x.pdf", "y"], "--plot=x.pdf: neither .svg nor .png; name a file that ends so"),
    ],
)
def test_what_does_not_go_together(args: list[str], line: str, capfd: Output) -> None:
    assert main(["bench", *args]) == 2
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")
