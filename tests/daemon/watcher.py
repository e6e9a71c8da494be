"""A reader as an MTA is one, in a process of its own: looks keys up all the time, and notes what is not there.

    python watcher.py TYPE FILE KEY...
    python watcher.py postmap TYPE:PATH KEY...

Under the MTA's locks, by the engines themselves or by Postfix's own code; none of pbs-fast's. Each round opens the
table anew, as an smtpd does that has just started, and pauses for as long as it took. Prints `watching` after the first
round; answers each line on its standard input with `looked` after a whole round; and, when that ends, prints one JSON
object: `rounds`, `missing` (key -> rounds without it), `errors`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable


def _look_up_bdb(file: str, keys: list[bytes], method: str) -> Iterable[bytes | None]:
    from berkeleydb import db

    with open(file, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        handle = db.DB()
        handle.open(file, None, getattr(db, method), db.DB_RDONLY)
        try:
            return [handle.get(key) for key in keys]
        finally:
            handle.close()


def look_up_hash(file: str, keys: list[bytes]) -> Iterable[bytes | None]:
    return _look_up_bdb(file, keys, "DB_HASH")


def look_up_btree(file: str, keys: list[bytes]) -> Iterable[bytes | None]:
    return _look_up_bdb(file, keys, "DB_BTREE")


def look_up_lmdb(file: str, keys: list[bytes]) -> Iterable[bytes | None]:
    import lmdb

    with open(file, "rb") as lock:
        fcntl.lockf(lock, fcntl.LOCK_SH)
        with (
            contextlib.closing(lmdb.open(file, subdir=False, lock=False, readonly=True, map_size=64 << 20)) as env,
            env.begin() as txn,
        ):
            return [txn.get(key) for key in keys]


def look_up_text(file: str, keys: list[bytes]) -> Iterable[bytes | None]:
    with open(file, "rb") as opened:
        there = set(opened.read().split(b"\n"))
    return [key if key in there else None for key in keys]


def look_up_postmap(table: str, keys: list[bytes]) -> Iterable[bytes | None]:
    question = b"".join(b"%s\n" % key for key in keys)
    done = subprocess.run(["postmap", "-q", "-", table], input=question, capture_output=True, check=False)
    if done.stderr or done.returncode not in (0, 1):
        raise OSError(f"postmap: status {done.returncode}: {done.stderr.decode(errors='replace')[:200]}")
    found = dict(line.split(b"\t", 1) for line in done.stdout.splitlines())
    return [found.get(key) for key in keys]


LOOK_UPS = {
    "hash": look_up_hash,
    "btree": look_up_btree,
    "lmdb": look_up_lmdb,
    "text": look_up_text,
    "postmap": look_up_postmap,
}


def main(kind: str, file: str, *names: str) -> None:
    keys = [os.fsencode(name) for name in names]
    rounds, missing, errors = 0, Counter[str](), Counter[str]()
    asked = False
    while True:
        start = time.monotonic()
        try:
            found = LOOK_UPS[kind](file, keys)
        except Exception as error:  # what an MTA would answer 451 to
            errors[f"{type(error).__name__}: {error}"] += 1
        else:
            missing.update(name for name, value in zip(names, found, strict=True) if value is None)
        rounds += 1
        if rounds == 1:
            print("watching", flush=True)
        if asked:
            print("looked", flush=True)
            asked = False
        if select.select([sys.stdin], [], [], max(0.001, time.monotonic() - start))[0]:
            if not sys.stdin.readline():
                break
            asked = True
    print(json.dumps({"rounds": rounds, "missing": missing, "errors": errors}))


if __name__ == "__main__":
    main(*sys.argv[1:])
