"""Makes docs/at-work.svg, the README's picture: what `match`, `status` and `report` print, of a generated month.

python scripts/picture.py

`status` is a running daemon's answer; times, paths and the process id of the moment are replaced by those of the month,
so that the picture is the same each time. A test holds it to what the commands print.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pbs_fast import __version__  # noqa: E402
from pbs_fast.cli.render.status import as_text  # noqa: E402
from pbs_fast.matching.backends import load_backend  # noqa: E402
from pbs_fast.report.text import as_text as report_text  # noqa: E402
from report.conftest import look  # noqa: E402
from report.town import DAY, START, town, write  # noqa: E402

PICTURE = ROOT / "docs" / "at-work.svg"
PROGRAM = Path(sys.executable).with_name("pbs-fast")
NOW = datetime(2026, 11, 30, 10, 12, 20, tzinfo=UTC)
LOGINS = ("anna@example.org", "203.0.113.5"), ("ben", "2001:db8:7::21"), ("scan@example.org", "198.51.100.40")
MOST = 80
#: Pixels of a character and a line; monospaced fonts are about this wide at this size.
SIZE, WIDTH, HEIGHT, EDGE = 13, 7.85, 18, 16


def printed(place: Path, *words: str) -> list[str]:
    """What a command prints, run in this directory."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=True, cwd=place)  # noqa: S603
    return done.stdout.splitlines()


def line(user: str, ip: str, at: datetime) -> str:
    return (
        f"{at.isoformat(timespec='milliseconds')} mx1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN,"
        f" rip={ip}, lip=192.0.2.10, mpid=71, TLS, session=<{user[:4]}>\n"
    )


def matched(place: Path) -> list[str]:
    times = (NOW - timedelta(seconds=seconds) for seconds in (560, 190, 3))
    lines = [line(user, ip, at) for (user, ip), at in zip(LOGINS, times, strict=True)]
    refused = f"{NOW.isoformat()} mx1 dovecot: imap-login: Login aborted: Connection closed (auth failed)\n"
    (place / "mail.log").write_text("".join(lines) + refused)
    return printed(place, "match", "mail.log")


def status(place: Path) -> list[str]:
    log, config = place / "now.log", place / "pbs-fast.toml"
    at = datetime.now(UTC) - timedelta(seconds=2)
    log.write_text("".join(line(user, ip, at) for user, ip in LOGINS))
    (place / "deny.toml").touch()
    config.write_text(
        f'state_directory = "{place}/state"\ndeny = "{place}/deny.toml"\ndbfile = "lmdb:{place}/relay"\n'
        f'watchlog = "{log}"\nmynetworks = ["127.0.0.0/8"]\n[control]\ndirectory = "{place}/run"\n'
    )
    daemon = subprocess.Popen([PROGRAM, "run", f"--config={config}"])  # noqa: S603
    try:
        return as_text(of_the_month(place, answer(config))).splitlines()
    finally:
        daemon.terminate()
        daemon.wait(60)


def answer(config: Path) -> dict[str, Any]:
    """What a daemon that has read its log answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        done = subprocess.run(  # noqa: S603
            [PROGRAM, "status", "--json", f"--config={config}"], capture_output=True, text=True, check=False
        )
        if done.stdout and (reply := json.loads(done.stdout))["ready"] and reply["rows"]["total"] == len(LOGINS):
            return dict(reply)
        time.sleep(0.1)
    raise SystemExit(f"picture.py: the daemon did not get ready: {done.stdout}{done.stderr}")


def of_the_month(place: Path, reply: dict[str, Any]) -> Any:
    """The reply without what only this run has."""
    text = json.dumps(reply).replace(f"{place}/now.log", "/var/log/mail.log").replace(str(place), "/var/lib/pbs-fast")
    reply = json.loads(text)
    moments = {"pid": 812, "version": __version__, "core": "rust", "now": NOW, "started": NOW - timedelta(days=19)}
    reply |= {name: each.isoformat() if isinstance(each, datetime) else each for name, each in moments.items()}
    reply["rows"]["new_last_minute"] = 1
    for log in reply["logs"]:
        log |= {"lines_per_s": 41.0, "last_login": (NOW - timedelta(seconds=3)).isoformat()}
    for table in reply["tables"]:
        table["last_write"] = (NOW - timedelta(seconds=3)).isoformat()
    return reply


def reported(place: Path) -> list[str]:
    """As the command prints it at the month's end, in no network of this machine's."""
    log = write(town(7, scale=3), place / "month.log")
    found = look(load_backend(), [log], now=START + 30 * DAY)
    lines = report_text(found, caps=False, files=False).splitlines()
    return lines[: next(n for n, each in enumerate(lines) if each.startswith("grace:"))]


def screen(place: Path) -> list[str]:
    """The lines of the picture; commands begin with a dollar sign."""
    return [
        "$ pbs-fast match mail.log",
        *matched(place),
        "",
        "$ pbs-fast status",
        *status(place),
        "",
        "$ pbs-fast report /var/log/mail.log*",
        *reported(place),
    ]


def svg(lines: list[str]) -> str:
    columns = max(MOST, *map(len, lines))
    wide, high = round(columns * WIDTH + 2 * EDGE), len(lines) * HEIGHT + 2 * EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
        ' role="img">',
        "<title>pbs-fast match, status and report at work</title>",
        f"<style>text{{font:{SIZE}px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d8dee9;"
        "white-space:pre}.c{fill:#a3be8c;font-weight:bold}</style>",
        f'<rect width="{wide}" height="{high}" rx="8" fill="#242933"/>',
    ]
    for number, each in enumerate(lines):
        if each:
            mark = ' class="c"' if each.startswith("$ ") else ""
            out.append(f'<text x="{EDGE}" y="{EDGE + SIZE + number * HEIGHT}"{mark}>{escape(each, quote=False)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        PICTURE.write_text(svg(screen(Path(place))), encoding="utf-8")


if __name__ == "__main__":
    main()
