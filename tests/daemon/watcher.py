"""A reader as an MTA is one, in a process of its own: looks keys up every millisecond, and notes what is not there.

    python watcher.py TYPE FILE KEY...

Under the MTA's locks, by the engines themselves; none of pbs-fast's code. Prints `watching` after the first round and,
when its standard input ends, one JSON object: `rounds`, `missing` (key -> rounds without it), `errors`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import sys
from collections import Counter


def look_up_hash(file: str, keys: list[bytes]) -> list[bytes | None]:
    """Opened anew each time, as an smtpd does that met a changed time."""
    from berkeleydb import db

    with open(file, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        handle = db.DB()
        handle.open(file, None, db.DB_HASH, db.DB_RDONLY)
        try:
            return [handle.get(key) for key in keys]
        finally:
            handle.close()


def look_up_lmdb(file: str, keys: list[bytes]) -> list[bytes | None]:
    import lmdb

    with open(file, "rb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_SH)
        with (
            contextlib.closing(lmdb.open(file, subdir=False, lock=False, readonly=True, map_size=64 << 20)) as env,
            env.begin() as txn,
        ):
            return [txn.get(key) for key in keys]


def main(kind: str, file: str, *names: str) -> None:
    look_up = {"hash": look_up_hash, "lmdb": look_up_lmdb}[kind]
    keys = [os.fsencode(name) for name in names]
    rounds, missing, errors = 0, Counter[str](), Counter[str]()
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        try:
            found = look_up(file, keys)
        except Exception as error:  # what an MTA would answer 451 to
            errors[f"{type(error).__name__}: {error}"] += 1
        else:
            missing.update(name for name, value in zip(names, found, strict=True) if value is None)
        rounds += 1
        if rounds == 1:
            print("watching", flush=True)
    print(json.dumps({"rounds": rounds, "missing": missing, "errors": errors}))


if __name__ == "__main__":
    main(*sys.argv[1:])
