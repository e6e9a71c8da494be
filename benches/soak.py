"""A soak of the file source: real writers at full speed, real rotations, some files compressed at once; no line lost.

Three processes append numbered lines to one log. A fourth rotates it as logrotate does (rename, create, tell the
writers), removes all but the newest KEPT rotated files, and compresses two of three right after their rotation, as
without `delaycompress`. This process follows the log and checks every line's number. Once in EVERY rotations it stops
looking while PAUSE of them go by, as a suspended machine does, so that files come, go and are compressed unseen.

    nice .venv/bin/python benches/soak.py            # 20 million lines, 200 rotations, into benches/record/soak.md

tests/follow/test_soak.py runs the same code on fewer lines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pbs_fast.sources.file.source import FileSource
from pbs_fast.sources.wakeup import Pause

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benches" / "record" / "soak.md"
WRITERS = 3
#: Rotated files that are kept, as `rotate 30` does.
KEPT = 30
#: Rotations that go by each time nobody looks, and in how many that happens once.
PAUSE, EVERY = 4, 20
#: Bytes of a line on average: name, number, 0 to 149 bytes, newline.
LINE = 14 + 74.5

#: Opens the log anew when it is told, as syslog daemons do: some lines after the rotation still go to the old file.
_WRITER = r"""
import os, signal, sys
path, name, count, pace = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), float(sys.argv[4])
flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
told = False
def tell(*_):
    global told
    told = True
signal.signal(signal.SIGHUP, tell)
log = os.open(path, flags)
os.write(1, b"r")
texts = [b"x" * size + b"\n" for size in range(150)]
if pace:
    import time
    begun = time.monotonic()
for number in range(count):
    if told:
        told = False
        os.close(log)
        log = os.open(path, flags)
        os.write(1, b"o")
    os.write(log, b"%s %09d %s" % (name, number, texts[number % 150]))
    if pace and number % 500 == 0 and (ahead := number / pace - (time.monotonic() - begun)) > 0:
        time.sleep(ahead)
# An interpreter that ends gives its signals their defaults back, and this one's would kill it.
signal.signal(signal.SIGHUP, signal.SIG_IGN)
"""


@dataclass
class Result:
    """What one soak found."""

    lines: int
    rotations: int = 0
    compressed: int = 0
    seen: int = 0
    lost: int = 0
    doubled: int = 0
    """Lines that came out of their writer's order: again, or late."""
    damaged: int = 0
    """Lines that are not what was written."""
    seconds: float = 0.0
    cpu_s: float = 0.0
    """Processor time of following and checking."""
    peak_rss_mb: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return self.lost == self.doubled == self.damaged == 0 and self.seen == self.lines


def soak(place: Path, lines: int, rotations: int, *, lines_per_second: float = 0.0) -> Result:
    """Run one in an empty directory. `lines_per_second` 0 is full speed."""
    share = lines // WRITERS
    result = Result(share * WRITERS)
    log = place / "mail.log"
    log.touch()
    source = FileSource(log)
    source.open()
    words = [str(log), str(share), str(rotations), str(lines_per_second / WRITERS)]
    begun, cpu = time.monotonic(), time.process_time()
    with subprocess.Popen([sys.executable, __file__, "--rotate", *words], stdout=subprocess.PIPE) as rotator:
        try:
            _follow(source, rotator, rotations, result)
        finally:
            if rotator.poll() is None:
                rotator.terminate()
    assert rotator.returncode == 0, rotator.returncode
    result.seconds, result.cpu_s = time.monotonic() - begun, time.process_time() - cpu
    result.peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result.counters = {name: count for name, count in sorted(source.counters.items()) if count}
    source.close()
    return result


def _follow(source: FileSource, rotator: subprocess.Popen[bytes], rotations: int, result: Result) -> None:
    expected = {b"w%d" % number: 0 for number in range(WRITERS)}
    pauses = list(range(EVERY // 2, rotations, EVERY))
    ended_at: float | None = None
    pause = Pause()
    while ended_at is None or time.monotonic() - ended_at < 1:
        for piece in source.poll():
            for line in piece.data[piece.start : piece.stop].splitlines():
                name, number, rest = line.split(b" ")
                count = int(number)
                if count != expected[name]:
                    result.lost += max(0, count - expected[name])
                    result.doubled += count < expected[name]
                expected[name] = count + 1
                result.damaged += len(rest) != count % 150
                result.seen += 1
        ended_at = ended_at or (time.monotonic() if _heard(rotator, result, 0.0) else None)
        if pauses and result.rotations >= pauses[0]:
            del pauses[0]
            until = result.rotations + PAUSE
            while result.rotations < until and not ended_at:
                ended_at = time.monotonic() if _heard(rotator, result, 0.1) else None
        if not source.behind:
            pause.wait(source.filenos(), 0.01)


def _heard(rotator: subprocess.Popen[bytes], result: Result, patience: float) -> bool:
    """Count what the rotator tells: `p` for a rotation, `z` for one with a compressed file; has it ended?"""
    assert rotator.stdout is not None
    while select.select([rotator.stdout], [], [], patience)[0]:
        told = os.read(rotator.stdout.fileno(), 4096)
        if not told:
            return True
        result.rotations += len(told)
        result.compressed += told.count(b"z")
        patience = 0.0
    return False


# -- the other side -------------------------------------------------------------------------------------------------


def rotate(path: str, share: int, rotations: int, pace: float) -> None:
    """Start the writers, and rotate their log so that the rotations are spread over its lines."""
    command = [sys.executable, "-c", _WRITER, path]
    writers = [
        subprocess.Popen([*command, f"w{number}", str(share), str(pace)], stdout=subprocess.PIPE)
        for number in range(WRITERS)
    ]
    for writer in writers:
        _told(writer, b"r")
    each = share * WRITERS * LINE / (rotations + 1)
    before = 0
    for number in range(1, rotations + 1):
        while before + Path(path).stat().st_size < each * number and any(one.poll() is None for one in writers):
            time.sleep(0.001)
        before += Path(path).stat().st_size
        _shift(path)
        packs = number % 3 != 0
        for writer in writers:
            if writer.poll() is None:
                writer.send_signal(signal.SIGHUP)
        for writer in writers:
            _told(writer, b"o")
        if packs:  # in the order of logrotate: when its `postrotate` is done
            subprocess.run(["gzip", "-1", f"{path}.1"], check=True)
        os.write(1, b"z" if packs else b"p")
    for writer in writers:
        assert writer.wait() == 0


def _told(writer: subprocess.Popen[bytes], word: bytes) -> None:
    """Wait for a writer's word, or its end."""
    assert writer.stdout is not None
    assert os.read(writer.stdout.fileno(), 1) in (word, b"")


def _shift(path: str) -> None:
    log = Path(path)
    for number in range(KEPT, 0, -1):
        for ending in ("", ".gz"):
            old = log.with_name(f"{log.name}.{number}{ending}")
            if old.exists():
                old.unlink() if number == KEPT else old.rename(log.with_name(f"{log.name}.{number + 1}{ending}"))
    log.rename(log.with_name(f"{log.name}.1"))
    log.touch()


# -- the record -----------------------------------------------------------------------------------------------------


def record(result: Result) -> str:
    """The result file's text."""
    changed = _git("status", "--porcelain", "python/pbs_fast/sources", "benches/soak.py")
    facts = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _git("rev-parse", "HEAD") + (" with changes" if changed else ""),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    found = asdict(result)
    counters = found.pop("counters")
    found = {name: round(value, 1) if isinstance(value, float) else value for name, value in found.items()}
    rows = {**facts, **found, **{f"source: {name}": count for name, count in counters.items()}}
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    verdict = "Nothing lost, nothing twice." if result.clean else "**Lines were lost, doubled or damaged.**"
    return f"# Soak\n\nWritten by `benches/soak.py`, which says how it is done. {verdict}\n\n| | |\n|---|---|\n{table}"


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=20_000_000)
    parser.add_argument("--rotations", type=int, default=200)
    parser.add_argument("--record", type=Path, default=RECORD, help="where the result is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pbs-soak-") as place:
        result = soak(Path(place), options.lines, options.rotations)
    print(json.dumps(asdict(result)))
    options.record.parent.mkdir(exist_ok=True)
    options.record.write_text(record(result))
    return 0 if result.clean else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rotate"]:
        rotate(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
        sys.exit()
    sys.exit(main())
