"""Progress of a replay, on standard error if it is a terminal: share of the bytes, lines per second, time left.

rich is imported only when there is something to show, because it costs a start 50 ms.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pbs_fast.replay.inputs import sizes

#: (file's index, bytes of it on the disk that were used, lines so far)
OnPosition = Callable[[int, int, int], object]


def is_terminal() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress(label: str, logs: Sequence[str], wanted: bool) -> Iterator[OnPosition]:
    """A bar that goes with the context. Of a pipe no size is known: then it shows lines and their rate only."""
    if not wanted or not is_terminal():
        yield lambda _index, _position, _lines: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    known = sizes(logs)
    text = "{task.fields[lines]} lines, {task.fields[rate]} lines/s"
    columns: tuple[ProgressColumn, ...] = (TextColumn(label), BarColumn(bar_width=20))
    if all(known):
        columns += (
            DownloadColumn(),
            TextColumn("{task.fields[rate]} lines/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
    else:
        columns += (TextColumn(text),)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        started = time.perf_counter()
        task = bar.add_task("", total=sum(known) if all(known) else None, rate="-", lines="0")

        def on_position(index: int, position: int, lines: int) -> None:
            rate = lines / max(time.perf_counter() - started, 1e-6)
            bar.update(task, completed=sum(known[:index]) + position, rate=few(rate), lines=few(lines))

        yield on_position


def few(number: float) -> str:
    """Three digits and a unit: what the eye takes from a figure that changes ten times a second."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        # What is rounded up to a thousand of a unit is one of the next.
        if number >= 0.9995 * size:
            return f"{number / size:#.3g} {unit}".replace(". ", " ")
    return f"{number:.0f}"


def title(name: str, run: int, runs: int) -> str:
    """The backend and the number of the run."""
    return name if runs == 1 else f"{name}, run {run} of {runs}"
