"""Checks an installed pbs-fast from outside: the right backend, the data files, a login that opens a table.

    python3 packaging/installed.py PROGRAM --core=rust|python [--bdb]

PROGRAM is the path of `pbs-fast`, with its other commands beside it. Knows nothing of how it was installed; imports
the standard library only, for it runs where nothing else is (empty virtual environments, containers, a Debian root).
Ends with 1 and the reason when something is not as it should be.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENT = "198.51.100.77"
#: How `hash:` without berkeleydb tells what to do.
REMEDY = "pip install 'pbs-fast[bdb]'"


class MismatchError(Exception):
    """The installation is not as it should be."""


def main() -> int:
    arguments = argparse.ArgumentParser(description="Check an installed pbs-fast.")
    arguments.add_argument("program", type=Path)
    arguments.add_argument("--core", choices=("rust", "python"), required=True)
    arguments.add_argument("--bdb", action="store_true", help="berkeleydb is installed: hash: must work")
    asked = arguments.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="pbs-fast-installed-") as place:
            said = check(asked.program, asked.core, asked.bdb, Path(place))
    except MismatchError as wrong:
        print(f"{asked.program}: {wrong}", file=sys.stderr)
        return 1
    print(f"  works: {said}")
    return 0


def check(program: Path, core: str, bdb: bool, place: Path) -> str:
    about = json.loads(call(program, "version", "--json"))
    expect("core", about["core"], core)
    expect("build", core == "python" or about["build"] == "release", True)
    expect("the old command", call(program.with_name("pop-before-smtp"), "--version"), f"version: {about['version']}\n")
    names = {each["name"] for each in json.loads(call(program, "formats", "--json"))}
    expect("the Dovecot format is there", "dovecot" in names, True)

    log, now = place / "mail.log", int(time.time())
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(now))
    log.write_text(
        f"{timestamp} hub dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip={CLIENT}, lip=192.0.2.10, mpid=71,"
        " TLS, session=<9mVjWnQ7pQDLAHEF>\n"
    )
    bench = json.loads(call(program, "bench", "--json", str(log)))
    expect("digest", bench["digest"], hashlib.sha256(f"{CLIENT} {now}\n".encode()).hexdigest())
    for table in ("lmdb", "cdb", *(("hash",) if bdb else ())):
        options = [f"--watchlog={log}", f"--dbfile={table}:{place}/{table}"]
        call(program, "run", "--reprocess", "--once", *options)
        expect(f"rows of {table}:", call(program, "list", options[1]), f"The database holds 1 IP:\n\t{CLIENT}\n")
    if not bdb:
        refused = run(program, "run", "--reprocess", "--once", f"--watchlog={log}", f"--dbfile=hash:{place}/hash")
        expect("exit status of hash: without berkeleydb", refused.returncode, 1)
        expect(f"{REMEDY!r} in {refused.stderr!r}", REMEDY in refused.stderr, True)
    return f"{about['version']}, {about['core']}, {about['python']}, {about['platform']}"


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)


def call(program: Path, *arguments: str) -> str:
    done = run(program, *arguments)
    if done.returncode != 0:
        raise MismatchError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise MismatchError(f"{what}: {found!r} instead of {wanted!r}")


if __name__ == "__main__":
    sys.exit(main())
