"""The results of a replay as one JSON object or as a table, and the process's peak memory.

Rates are per second of `Result.seconds`; sizes are in 10⁶ bytes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pbs_fast.bench.replay import Result

if TYPE_CHECKING:
    from pbs_fast.bench.rate import LogRate

#: Figures that must not depend on backend and threads.
COUNTED = ("files", "bytes", "lines", "logins", "logouts", "distinct_ips", "granted", "expired", "digest")


def record(result: Result) -> dict[str, Any]:
    """The JSON object of one replay, keys in their documented order."""
    seconds = result.seconds
    return {
        "files": result.files,
        "bytes": result.bytes,
        "lines": result.lines,
        "seconds": round(seconds, 6),
        "lines_per_s": round(result.lines / seconds) if seconds else 0,
        "mb_per_s": round(result.bytes / seconds / 1e6, 1) if seconds else 0.0,
        "core": result.core,
        "threads": result.threads,
        "logins": result.logins,
        "logouts": result.logouts,
        "distinct_ips": result.distinct_ips,
        "granted": result.granted,
        "expired": result.expired,
        "digest": result.digest,
        "peak_rss_mb": round(peak_rss() / 1e6, 1),
        "stages": {stage: round(spent, 6) for stage, spent in asdict(result.stages).items()},
    }


def as_json(records: Sequence[dict[str, Any]]) -> str:
    """One object. For both backends: the first one's, with `core` "both" and the object of each under `runs`."""
    if len(records) == 1:
        return json.dumps(records[0])
    return json.dumps(records[0] | {"core": "both", "runs": list(records)})


def as_table(records: Sequence[dict[str, Any]]) -> str:
    """A line a figure, a column a run."""
    rows: list[list[str]] = []
    for key in records[0]:
        if key == "repeat":
            rows += (
                [label, *(f"{each[key][of]:{form}}" for each in records)]
                for label, of, form in (
                    ("runs", "runs", ""),
                    ("best run (s)", "min", ".3f"),
                    ("worst run (s)", "max", ".3f"),
                    ("worst - best", "spread", ".1%"),
                )
            )
        elif key == "stages":
            rows += ([f"{stage} (s)", *(f"{each[key][stage]:.3f}" for each in records)] for stage in records[0][key])
        elif key == "digest":
            # It is the same for all backends, and too wide to share 80 columns with other figures.
            rows.append([key, records[0][key]])
        else:
            rows.append([_LABELS.get(key, key), *(_shown(key, each[key]) for each in records)])
    figures = [row for row in rows if row[0] != "digest"]
    first = max(len(row[0]) for row in figures)
    width = max(len(text) for row in figures for text in row[1:])
    return "".join(
        f"{'  '.join(row)}\n"
        if row[0] == "digest"
        else f"{row[0]:<{first}}  " + "  ".join(f"{text:>{width}}" for text in row[1:]) + "\n"
        for row in rows
    )


def as_sentences(records: Sequence[dict[str, Any]], rate: LogRate | None, *, once: str | None = None) -> str:
    """How many times the log's own rate this machine can take. `once` names what could not be read a second time."""
    if not records[0]["lines"]:
        return "The log is empty, so nothing was measured.\n"
    text = ""
    if not records[0]["logins"]:
        text += (
            "No login was found. Lines that look like one and that no format took, if any, are shown by: pbs-fast match"
            " --missed LOG\n"
        )
    if rate is None:
        why = f"{once} cannot be read a second time" if once else "no line has a timestamp that can be read"
        return text + f"How many times the log's own rate this is cannot be said: {why}.\n"
    minute = time.strftime("%Y-%m-%d %H:%M", time.gmtime(rate.busiest_at))
    text += (
        f"This log was written at {_few(rate.average)} lines/s on average, over {_duration(rate.last - rate.first)},"
        f" and at {_few(rate.peak)} lines/s in its busiest minute ({minute} UTC).\n"
    )
    for record in records:
        speed = record["lines"] / record["seconds"] if record["seconds"] else 0.0
        text += (
            f"This machine takes {_few(speed)} lines/s ({record['core']}):"
            f" {_few(speed / rate.average)} times the log's average rate,"
            f" {_few(speed / rate.peak)} times that of the busiest minute.\n"
        )
    return text


def _few(number: float) -> str:
    """Three digits of a number that says no more."""
    if number < 100:
        return f"{number:.3g}"
    power = 10 ** (len(str(int(number))) - 3)
    return f"{round(number / power) * power:,}"


def _duration(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds} seconds"


_LABELS = {
    "bytes": "bytes of text",
    "lines_per_s": "lines/s",
    "mb_per_s": "MB/s",
    "distinct_ips": "addresses",
    "granted": "grants",
    "expired": "of them ended",
    "peak_rss_mb": "peak memory (MB)",
}


def _shown(key: str, value: object) -> str:
    if key == "seconds":
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def differences(records: Sequence[dict[str, Any]]) -> list[str]:
    """What was counted differently in these runs, one text each; empty when they agree."""
    return [
        f"{key} " + ", ".join(f"{each[key]} ({each['core']})" for each in records)
        for key in COUNTED
        if len({each[key] for each in records}) > 1
    ]


def peak_rss() -> int:
    """The most memory this process has held so far, in bytes."""
    try:
        # Linux's own count, because getrusage's starts with that of the program that started us.
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
