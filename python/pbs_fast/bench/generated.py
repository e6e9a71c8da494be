"""A generated log to replay, in a temporary directory or a given file, with its expected results."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pbs_fast.bench.hublog import Options, Truth, write_log
from pbs_fast.errors import CoreError, SourceError

#: The zone of its timestamps that name none.
ZONE = "UTC"


@contextmanager
def generated_log(lines: int, *, grace: int, keep: str | None, shown: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The log's path, and what a replay must count. It is at `keep` and stays, or goes with the context.

    `shown` shows progress on standard error. Raises SourceError if the file cannot be written or exists.
    """
    with tempfile.TemporaryDirectory(prefix="pbs-fast-") as place:
        log = Path(keep) if keep is not None else Path(place, f"hub-{lines}.log")
        if log.exists():
            raise SourceError(f"{log}: already exists; name a new file for the generated log")
        try:
            with _shown(lines, shown) as on_line:
                totals = write_log(log, Options(lines=lines), grace=grace, on_line=on_line)
        except OSError as error:
            size = f"about {lines * 168 // 10**6 + 1} MB"
            raise SourceError(f"{log}: cannot write the generated log ({size}): {error.strerror or error}") from error
        yield str(log), totals


@contextmanager
def _shown(lines: int, wanted: bool) -> Iterator[Any]:
    if not wanted:
        yield lambda _line, _truth: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("generating", total=lines)
        written = 0

        def on_line(_line: bytes, _truth: Truth) -> None:
            nonlocal written
            written += 1
            if written % 10_000 == 0:
                bar.update(task, completed=written)

        yield on_line


def check(record: Mapping[str, Any], totals: Mapping[str, Any]) -> None:
    """Raises CoreError when a replay counted something else than what was written."""
    keys = sorted(key for key in totals.keys() & record.keys() if record[key] != totals[key])
    wrong = [f"{key} {record[key]}, true is {totals[key]}" for key in keys]
    if wrong:
        raise CoreError(f"the generated log was read wrongly ({record['core']}): {'; '.join(wrong)}; please report it")
