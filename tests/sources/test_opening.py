"""Logs are read whole, whatever they are packed in, and every fault is one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.errors import SourceError
from pbs_fast.sources.open import LogReader, open_log

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"Nov 21 00:00:%02d mx1 postfix/qmgr[%d]: removed\n" % (n % 60, n * 7919) for n in range(20_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    # The program zstd writes checksums, its library by itself does not.
    "zstd": lambda text: zstd.compress(text, options={zstd.CompressionParameter.checksum_flag: 1}),
}
packed = pytest.mark.parametrize("kind", PACKERS)


def read_all(log: LogReader, size: int = 1 << 16) -> bytes:
    parts = []
    while data := log.read(size):
        assert len(data) <= size
        parts.append(data)
    return b"".join(parts)


def read_to_the_fault(log: LogReader, read: list[bytes]) -> None:
    while data := log.read(1 << 16):
        read.append(data)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [1 << 12, 1 << 20])
@packed
def test_compressed_by_content_not_by_name(tmp_path: Path, kind: str, size: int) -> None:
    with open_log(write(tmp_path / "mail.log", PACKERS[kind](TEXT))) as log:
        assert read_all(log, size) == TEXT
        assert (log.compression, log.seekable) == (kind, False)


def test_a_plain_file_with_a_compressed_files_name(tmp_path: Path) -> None:
    with open_log(write(tmp_path / "mail.log.gz", TEXT)) as log:
        assert (log.compression, log.seekable) == (None, True)
        assert read_all(log) == TEXT


@packed
def test_several_members_are_one_text(tmp_path: Path, kind: str) -> None:
    pack = PACKERS[kind]
    with open_log(write(tmp_path / "log", pack(TEXT) + pack(b"") + pack(b"last\n"))) as log:
        assert read_all(log) == TEXT + b"last\n"


@packed
def test_an_empty_member_alone(tmp_path: Path, kind: str) -> None:
    with open_log(write(tmp_path / "log", PACKERS[kind](b""))) as log:
        assert log.compression == kind
        assert read_all(log) == b""


@pytest.mark.parametrize("kind", ["gzip", "xz"])
def test_zero_padding_between_and_after_members(tmp_path: Path, kind: str) -> None:
    pack = PACKERS[kind]
    with open_log(write(tmp_path / "log", pack(b"a\n") + bytes(1024) + pack(b"b\n") + bytes(300_000))) as log:
        assert read_all(log) == b"a\nb\n"


def test_a_skippable_zstd_frame_may_come_first(tmp_path: Path) -> None:
    frame = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    with open_log(write(tmp_path / "log", frame + zstd.compress(TEXT) + frame)) as log:
        assert log.compression == "zstd"
        assert read_all(log) == TEXT


@pytest.mark.system
@packed
def test_cut_off_data_give_their_text_before_the_error(tmp_path: Path, kind: str) -> None:
    whole = PACKERS[kind](os.urandom(1 << 20).hex().encode())
    with open_log(write(tmp_path / "log", whole[: len(whole) * 3 // 4])) as log:
        read: list[bytes] = []
        with pytest.raises(SourceError, match=f"log: cut off within its {kind} data") as caught:
            read_to_the_fault(log, read)
        # bzip2 gives blocks of up to 900 kB, the others all that is there.
        assert len(b"".join(read)) > (1 << 21) * 3 // 4 - 1_000_000
        assert "\n" not in str(caught.value)


@packed
def test_cut_off_after_one_byte_of_a_further_member(tmp_path: Path, kind: str) -> None:
    pack = PACKERS[kind]
    with open_log(write(tmp_path / "log", pack(b"first\n") + pack(b"second\n")[:1])) as log:
        read: list[bytes] = []
        with pytest.raises(SourceError, match="cut off"):
            read_to_the_fault(log, read)
        assert b"".join(read) == b"first\n"


@packed
def test_damaged_data_are_an_error(tmp_path: Path, kind: str) -> None:
    data = bytearray(PACKERS[kind](os.urandom(100_000)))
    for place in range(2000, 2100):
        data[place] ^= 0xFF
    with (
        open_log(write(tmp_path / "log", bytes(data))) as log,
        pytest.raises(SourceError, match=rf"log: the {kind} data are damaged \(.+\)"),
    ):
        read_all(log)


def test_what_follows_a_gzip_member_must_be_one(tmp_path: Path) -> None:
    with open_log(write(tmp_path / "log", gzip.compress(b"a\n") + b"rubbish")) as log:
        assert log.read(100) == b"a\n"
        with pytest.raises(SourceError, match="gzip data are damaged"):
            log.read(100)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"B", b"BZh", b"BZh1 is no magic of ours\n", b"(\xb5", b"Z*M", b"\0" * 50]
)
def test_short_and_similar_beginnings_are_plain_text(tmp_path: Path, data: bytes) -> None:
    with open_log(write(tmp_path / "log", data)) as log:
        assert log.compression is None
        assert read_all(log) == data


def test_a_bomb_is_unpacked_in_bounded_steps(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    assert len(bomb) < 70_000
    with open_log(write(tmp_path / "log", bomb)) as log:
        assert len(log.read(1000)) <= 1000
        assert len(log.read(1 << 20)) <= 1 << 20


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.log: no such file"):
        open_log(tmp_path / "nowhere.log")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is a directory"):
        open_log(tmp_path)


def test_not_readable(tmp_path: Path) -> None:
    path = write(tmp_path / "log", TEXT)
    path.chmod(0)
    tmp_path.chmod(0o755)
    program = (
        "import os, sys\n"
        "from pbs_fast.errors import SourceError\n"
        "from pbs_fast.sources.open import open_log\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: open_log(sys.argv[1])\n"
        "except SourceError as error: print(error)\n"
    )
    for parent in path.parents:  # the other user must reach the file to be refused by the file itself
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o001)
        if parent == Path("/tmp"):  # noqa: S108 - where pytest's own directories end
            break
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert "log: not readable for uid " in done.stdout


def test_a_path_with_a_zero_byte_is_an_error_like_others() -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        open_log("a\0b")


def test_a_path_of_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.log"
    Path(os.fsdecode(path)).write_bytes(TEXT)
    with open_log(path) as log:
        assert os.fsencode(log.name) == path
        assert read_all(log) == TEXT


def test_the_first_short_line_of_a_live_pipe_comes_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen: list[bytes] = []

    def reader() -> None:
        with open_log(pipe) as log:
            assert not log.seekable
            assert log.mtime is None
            seen.append(log.read(1000))
            first.set()
            while data := log.read(1000):
                seen.append(data)

    first = threading.Event()
    thread = threading.Thread(target=reader)
    thread.start()
    with pipe.open("wb", buffering=0) as out:
        out.write(b"a b\n")
        assert first.wait(60)
        out.write(b"second\n")
    thread.join(10)
    assert b"".join(seen) == b"a b\nsecond\n"


@packed
def test_standard_input_may_be_compressed(kind: str) -> None:
    program = (
        "import sys\n"
        "from pbs_fast.sources.open import open_log\n"
        "with open_log('-') as log:\n"
        "    while data := log.read(1 << 16): sys.stdout.buffer.write(data)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=PACKERS[kind](TEXT), capture_output=True, check=True)
    assert done.stdout == TEXT


def test_time_of_last_modification_and_position(tmp_path: Path) -> None:
    path = write(tmp_path / "log", gzip.compress(TEXT))
    os.utime(path, (5, 1_700_000_000.9))
    with open_log(path) as log:
        assert log.mtime == 1_700_000_000
        assert 0 <= log.position() <= log.size()
        read_all(log)
        assert log.position() == log.size() == path.stat().st_size


def test_read_at_does_not_move_the_reader(tmp_path: Path) -> None:
    with open_log(write(tmp_path / "log", TEXT)) as log:
        assert log.read_at(100, 50) == TEXT[100:150]
        assert log.read_at(len(TEXT) - 5, 50) == TEXT[-5:]
        assert log.read_at(len(TEXT) + 5, 50) == b""
        assert read_all(log) == TEXT


def test_libraries_are_imported_only_when_needed() -> None:
    program = (
        "import sys; import pbs_fast.sources.open\n"
        "print([name for name in ('bz2', 'lzma', 'backports.zstd', 'compression.zstd') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
