"""Whatever happens to a log, its lines are seen once and in order; and each rule is shown to matter.

The machine plays one writer and the administrator's tools on a real file. The property is equality with what was
written. Lines may be missing only where nothing could save them (truncated without a copy), and then a counter says so.
Rotated files may be compressed at any time, read or not.
The second half breaks one rule of the follower at a time: the same machine must notice.
"""

# ruff: noqa: PTH118, PTH202, PTH110, PTH104, PTH108 - the tests speak as the code does, through os

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from machines import run_machine
from pbs_fast.sources import lines
from pbs_fast.sources.file import listing
from pbs_fast.sources.file import plain as follow_file
from pbs_fast.sources.file import rotated as follow_old
from pbs_fast.sources.file import source as module
from pbs_fast.sources.file.archive import Archive
from pbs_fast.sources.file.followed import Followed
from pbs_fast.sources.file.plain import PlainFile, TruncatedError
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.file.rotated import RotatedFiles
from pbs_fast.sources.file.source import FileSource
from pbs_fast.sources.lines import TOO_LONG, Cut, Piece
from pbs_fast.sources.protocol import BUDGET
from pbs_fast.sources.wakeup import Hints

#: What the machine did, over all examples of a run.
DONE: Counter[str] = Counter()

#: bz2 and zstd go through the same code (tests/sources/test_opening.py).
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": partial(lzma.compress, preset=0)}
ENDINGS = tuple(PACK)

sizes = st.lists(
    st.one_of(st.integers(0, 90), st.integers(200, 700), st.just(TOO_LONG + 70_000)), min_size=1, max_size=4
)


class Log(RuleBasedStateMachine):
    """`written` holds (file generation, line) in order; `seen` what came out."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="follow-")
        self.path = os.path.join(self.directory, "mail.log")
        self.now = 0.0
        self.count = self.generation = 0
        self.written: list[tuple[int, bytes]] = []
        self.seen: list[bytes] = []
        self.begun = b""
        self.deleted = False
        self.on_path = True
        self.lossy = False
        self.lost = 0
        self.tick = 1_800_000_000
        self.writer = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.modified(self.writer)
        self.source = self.follow("begin")
        self.actions: set[str] = set()

    def follow(self, start: Position | Literal["begin"]) -> FileSource:
        source = FileSource(self.path, start=start, chunk=1500, clock=lambda: self.now, hints=Hints(enabled=False))
        source.open()
        return source

    def note(self) -> None:
        """What the follower did, as far as its counters tell."""
        self.actions |= {name for name in ("unpacked_bytes", "copied_bytes") if self.source.counters[name]}

    def teardown(self) -> None:
        try:
            if not self.on_path:
                self.reopen()  # a file that came and went unseen is found when the next one comes
            self.finish()
            assert self.seen == [line for _, line in self.written]
            self.note()
            assert self.lost + self.source.counters["lost"] >= self.lossy
            if not self.actions & {"truncate", "delete", "compress early"}:
                assert self.lost + self.source.counters["lost"] == 0, "no false alarm"
            DONE["examples"] += 1
            DONE.update(self.actions)
        finally:
            self.source.close()
            os.close(self.writer)
            shutil.rmtree(self.directory)

    # -- the writer ---------------------------------------------------------------------------------------------

    def line(self, size: int) -> bytes:
        self.count += 1
        return b"%06d " % self.count + b"x" * size

    def put(self, text: bytes) -> None:
        while text:
            text = text[os.write(self.writer, text) :]
        self.modified(self.writer)

    def modified(self, file: int | str) -> None:
        """Kernels timestamp files with a tick of 1 to 10 ms. Real rotations are further apart, so here each change
        is."""
        self.tick += 1
        os.utime(file, (self.tick, self.tick))

    @rule(sizes=sizes)
    def append(self, sizes: list[int]) -> None:
        lines = [self.line(size) for size in sizes]
        self.put(b"".join(line + b"\n" for line in lines))
        lines[0] = self.begun + lines[0]
        self.begun = b""
        self.written += [(self.generation, line[:TOO_LONG]) for line in lines]

    @rule(size=st.integers(0, 300))
    def append_part(self, size: int) -> None:
        part = self.line(size)
        self.put(part)
        self.begun += part
        self.actions.add("part")

    # -- the reader ---------------------------------------------------------------------------------------------

    def take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            lines = piece.data[piece.start : piece.stop].split(b"\n")
            if not lines[-1]:
                lines.pop()
            self.seen += [line[:TOO_LONG] for line in lines]
        assert self.seen == [line for _, line in self.written[: len(self.seen)]]

    @rule(budget=st.sampled_from([1, 2_000, 1_000_000]))
    def poll(self, budget: int) -> None:
        self.take(self.source.poll(budget))

    def finish(self) -> None:
        for _ in range(10_000):
            self.take(self.source.poll())
            if not self.source.behind:
                self.take(self.source.poll())
                if not self.source.behind:
                    return
        raise AssertionError("the source never comes to an end")

    @precondition(lambda self: self.on_path)
    @rule()
    def time_passes(self) -> None:
        self.finish()
        self.now += 1000.0
        self.take(self.source.poll())

    @precondition(lambda self: self.on_path)
    @rule()
    def restart(self) -> None:
        if self.deleted:
            self.finish()
            self.deleted = False
        position = self.source.position()
        self.note()
        self.lost += self.source.counters["lost"]
        self.source.close()
        if position is None:
            self.source = self.follow("begin")
        else:
            self.source = self.follow(Position.from_json(json.loads(json.dumps(position.to_json()))))
        self.actions.add("restart")

    # -- the administrator's tools ------------------------------------------------------------------------------

    def shift(self) -> None:
        for number in range(40, 0, -1):
            for ending in ("", *PACK):
                if os.path.exists(f"{self.path}.{number}{ending}"):
                    os.rename(f"{self.path}.{number}{ending}", f"{self.path}.{number + 1}{ending}")

    def pack(self, name: str, ending: str, *, keep_time: bool) -> None:
        """What logrotate does with a rotated file: the plain one is there until the other one is whole."""
        Path(name + ending).write_bytes(PACK[ending](Path(name).read_bytes()))
        if keep_time:
            shutil.copystat(name, name + ending)
        else:
            self.modified(name + ending)
        os.unlink(name)

    def rotated(self) -> list[str]:
        return [f"{self.path}.{number}" for number in range(1, 41) if os.path.exists(f"{self.path}.{number}")]

    @precondition(lambda self: self.on_path and self.rotated())
    @rule(ending=st.sampled_from(ENDINGS), keep_time=st.booleans(), all_=st.booleans())
    def compress(self, ending: str, keep_time: bool, all_: bool) -> None:
        """After the writer was told: read or not, what was rotated is compressed."""
        for name in self.rotated() if all_ else self.rotated()[:1]:
            self.pack(name, ending, keep_time=keep_time)
        self.actions.add("compress")

    @precondition(lambda self: not self.on_path and os.path.exists(f"{self.path}.1") and os.path.exists(self.path))
    @rule(ending=st.sampled_from(ENDINGS))
    def compress_early(self, ending: str) -> None:
        """While the writer still keeps to the file: what comes then is in no file that has a name."""
        self.take(self.source.poll(1))
        self.pack(f"{self.path}.1", ending, keep_time=True)
        self.deleted = True
        self.actions.add("compress early")

    @precondition(lambda self: self.on_path)
    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        """The writer keeps to the old file until `reopen`."""
        self.shift()
        os.rename(self.path, f"{self.path}.1")
        if create:
            Path(self.path).touch()
            self.modified(self.path)
        self.on_path = False
        self.actions.add("rename")

    @precondition(lambda self: self.on_path)
    @rule()
    def delete(self) -> None:
        self.take(self.source.poll(1))  # a file that was never opened cannot be read after that
        self.finish_copies()
        os.unlink(self.path)
        self.on_path, self.deleted = False, True
        self.actions.add("delete")

    @precondition(lambda self: not self.on_path)
    @rule()
    def reopen(self) -> None:
        os.close(self.writer)
        self.writer = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.modified(self.writer)
        self.begun = b""
        self.on_path = True
        self.generation += 1

    def finish_copies(self) -> None:
        """The first poll sees a truncation, the next one opens what it needs."""
        self.take(self.source.poll(1))

    def known(self) -> None:
        """Nothing can notice the truncation of a file of which nothing was read."""
        if not any(generation == self.generation for generation, _ in self.written[: len(self.seen)]):
            self.append([20])
            self.finish()

    @precondition(lambda self: self.on_path and not self.begun)
    @rule(unread=st.booleans(), hole=st.booleans(), more=st.booleans(), ending=st.sampled_from(("", *ENDINGS)))
    def copytruncate(self, unread: bool, hole: bool, more: bool, ending: str) -> None:
        """With a copy beside it nothing is lost; `hole`: the writer goes on where it was, behind NULs."""
        self.known()
        if unread:
            self.append([40, 60])
        self.shift()
        size = os.path.getsize(self.path)
        shutil.copy(self.path, f"{self.path}.1")
        self.modified(f"{self.path}.1")
        if ending:
            self.pack(f"{self.path}.1", ending, keep_time=True)
            self.actions.add("packed copy")
        os.truncate(self.path, 0)
        if hole:
            os.truncate(self.path, size)
        self.generation += 1
        self.refill(size, more=more)
        self.actions.add("copytruncate")

    @precondition(lambda self: self.on_path and not self.begun)
    @rule(unread=st.booleans(), more=st.booleans())
    def truncate(self, unread: bool, more: bool) -> None:
        """Without a copy: what was not read is lost, and that is said."""
        self.known()
        if unread:
            self.append([40, 60])
        size = os.path.getsize(self.path)
        kept = [one for one in self.written[len(self.seen) :] if one[0] != self.generation]
        self.actions |= {"truncate", "loss"} if len(self.seen) + len(kept) < len(self.written) else {"truncate"}
        self.written[len(self.seen) :] = kept
        self.lossy = True
        os.truncate(self.path, 0)
        self.generation += 1
        self.refill(size, more=more)

    def refill(self, size: int, *, more: bool) -> None:
        """Write up to the size that the file had before, and perhaps beyond."""
        self.modified(self.path)
        missing = size - os.path.getsize(self.path)
        if missing > 8:
            line = self.line(missing - 8)
            self.put(line + b"\n")
            self.written.append((self.generation, line[:TOO_LONG]))
            self.actions.add("same size")
        if more:
            self.append([10, 300])


def run(examples: int, *, quick: bool = False) -> None:
    run_machine(Log, examples, steps=40, quick=quick)


def test_lines_seen_are_the_lines_written() -> None:
    DONE.clear()
    run(200)
    shares = {name: count / DONE["examples"] for name, count in DONE.items()}
    print("share of examples:", {name: round(share, 2) for name, share in sorted(shares.items())})
    common = ("part", "rename", "restart", "delete", "copytruncate", "truncate", "same size", "packed copy")
    for action in common:
        assert shares[action] > 0.25, (action, shares)
    assert shares["loss"] > 0.1, shares
    assert shares["compress"] > 0.1, shares
    assert shares["unpacked_bytes"] > 0.15, "read from files that were compressed before they were read"


# -- one rule broken at a time ----------------------------------------------------------------------------------------

Break = Callable[[pytest.MonkeyPatch], None]


def rotated_file_is_closed_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RotatedFiles, "enlist", lambda _self, file, before=None: file.close())  # noqa: ARG005


def rotated_file_is_closed_at_its_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RotatedFiles, "finished", lambda *_: True)


def path_is_never_looked_at_again(patch: pytest.MonkeyPatch) -> None:
    look = FileSource._check_path
    patch.setattr(FileSource, "_check_path", lambda self: look(self) if self.current is None else None)


def new_file_before_the_old(patch: pytest.MonkeyPatch) -> None:
    def poll(self: FileSource, budget: int = BUDGET) -> list[Piece]:
        self.behind = False
        self._check_path()
        pieces: list[Piece] = []
        for file in [self._current, *self._old.files]:
            if file is not None:
                self._drain(file, pieces, budget, None)
        return pieces

    patch.setattr(FileSource, "poll", poll)


def unfinished_lines_are_handed_out(patch: pytest.MonkeyPatch) -> None:
    def eager(data: bytes, start: int, offset: int, _discarding: bool) -> Cut:
        pieces = [Piece(data, start, len(data), offset, offset + len(data) - start)] if start < len(data) else []
        return Cut(pieces, len(data), False, 0)

    patch.setattr(follow_file, "cut", eager)


def rest_of_a_long_line_is_a_line(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follow_file, "cut", lambda data, start, offset, _: lines.cut(data, start, offset, False))


def holes_are_taken_for_text(patch: pytest.MonkeyPatch) -> None:

    def no_nul(data: bytes, start: int, offset: int, discarding: bool) -> Cut:
        found = lines.cut(data.replace(b"\0", b"-"), start, offset, discarding)
        return found._replace(pieces=[piece._replace(data=data) for piece in found.pieces])

    patch.setattr(follow_file, "cut", no_nul)


def only_a_smaller_size_is_a_truncation(patch: pytest.MonkeyPatch) -> None:
    read = PlainFile.read

    def by_size(self: PlainFile, limit: int | None = None) -> list[Piece]:
        if os.fstat(self.fd).st_size < self.offset:
            raise TruncatedError(self)
        self.head = b""
        self.tail = os.pread(self.fd, len(self.tail), self.offset - len(self.tail))
        return read(self, limit)

    patch.setattr(PlainFile, "read", by_size)


def truncation_goes_unseen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FileSource, "_truncated", lambda _self, file: setattr(file, "at_end", True))


def copies_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follow_old, "copy_of", lambda *_, **__: None)


def compressed_files_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    list_rotated = listing.list_rotated
    patch.setattr(follow_old, "list_rotated", lambda path: [one for one in list_rotated(path) if not one.compressed])


def compressed_files_are_read_from_their_start(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Archive, "start_at", lambda *_: None)


def what_was_read_is_read_again_from_its_archive(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follow_old, "alike", lambda *_: False)


def restart_knows_one_place_only(patch: pytest.MonkeyPatch) -> None:
    position = RotatedFiles.position

    def one(self: RotatedFiles, current: Followed | None) -> Position | None:
        found = position(self, current)
        return found and replace(found, others=())

    patch.setattr(RotatedFiles, "position", one)


def files_between_two_looks_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follow_old, "begun_since", lambda *_: [])


def files_that_were_there_before_are_read_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(listing.Seen, "holds", lambda *_: False)
    patch.setattr(listing.Since, "precedes", lambda *_: True)
    init = listing.Seen.__init__

    def no_heads(self: listing.Seen, _files: object = ()) -> None:
        init(self)

    patch.setattr(listing.Seen, "__init__", no_heads)


def restart_trusts_the_number_alone(patch: pytest.MonkeyPatch) -> None:
    def start_at(self: PlainFile, position: Position) -> None:
        self.offset = min(position.offset, os.fstat(self.fd).st_size)
        self.head, self.tail = b"", os.pread(self.fd, min(256, self.offset), max(0, self.offset - 256))

    patch.setattr(Position, "fits", lambda _self, _fd: True)
    patch.setattr(PlainFile, "start_at", start_at)


def restart_begins_at_the_end(patch: pytest.MonkeyPatch) -> None:
    init = FileSource.__init__

    def at_end(self: FileSource, path: str, **options: Any) -> None:
        init(self, path, **{**options, "start": "begin" if options["start"] == "begin" else "replay"})

    patch.setattr(FileSource, "__init__", at_end)


def unread_loss_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    class Silent(Counter[str]):
        def __setitem__(self, name: str, value: int) -> None:
            if name != "lost":
                super().__setitem__(name, value)

    patch.setattr(module, "Counter", Silent)


BROKEN: list[Break] = [
    rotated_file_is_closed_at_once,
    rotated_file_is_closed_at_its_end,
    path_is_never_looked_at_again,
    new_file_before_the_old,
    unfinished_lines_are_handed_out,
    rest_of_a_long_line_is_a_line,
    holes_are_taken_for_text,
    only_a_smaller_size_is_a_truncation,
    truncation_goes_unseen,
    copies_are_not_looked_for,
    compressed_files_are_not_looked_at,
    compressed_files_are_read_from_their_start,
    what_was_read_is_read_again_from_its_archive,
    restart_knows_one_place_only,
    files_between_two_looks_are_not_looked_for,
    files_that_were_there_before_are_read_again,
    restart_trusts_the_number_alone,
    restart_begins_at_the_end,
    unread_loss_is_not_counted,
]


@pytest.mark.system
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_follower_is_noticed(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        run(3_000, quick=True)
