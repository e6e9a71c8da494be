"""The whole job on this machine, in a temporary place: a login opens the relay, grace later it is shut.

What `make run` shows. Starts the real daemon on the bundled log and a table of its own, appends a login as a mail
server would, asks the table as the MTA would, and waits until the row is gone. Ends with 1 when any of that fails.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("pbs-fast")
GRACE = 4
CLIENT = "198.51.100.77"
HOSTS = ["mx1", "4711", "box", "bsd", "gate", "mx2", "old", "pop", "relay", "store1", "store2"]


def main() -> int:
    # In a pipe, too, our lines are to be in front of those of the programs that they announce.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    print("What the matcher sees in examples/hub.log (pbs-fast match):\n")
    subprocess.run([PROGRAM, "match", "--missed", HERE / "hub.log"], check=False)
    with tempfile.TemporaryDirectory(prefix="pbs-fast-demo-") as place:
        status = show(Path(place))
    bin_ = os.path.relpath(PROGRAM.parent)
    say(f"That was {bin_}/pbs-fast of this checkout. To call it pbs-fast in this shell:\n")
    print(f'  export PATH="$PWD/{bin_}:$PATH"')
    return status


def show(place: Path) -> int:
    log, table, own = place / "mail.log", f"lmdb:{place}/relay", place / "pbs-fast.log"
    shutil.copy(HERE / "hub.log", log)
    say(f"The daemon follows a copy of that log and keeps {table}; a grant lasts {GRACE} s instead of 30 minutes.")
    # Its socket is here too: as root, one in /run/pbs-fast would get in the way of a daemon that is in use.
    config = place / "pbs-fast.toml"
    # The log is of several machines, which the daemon warns of unless they are named.
    config.write_text(
        f'state_directory = "{place}/state"\nmynetworks = ["127.0.0.0/8"]\n'
        f'[control]\ndirectory = "{place}/run"\n[guards]\nhosts = {HOSTS}\n'
    )
    keys = {"config": config, "watchlog": log, "dbfile": table, "logto": own, "grace": GRACE}
    command = [PROGRAM, "run", *(f"--{key}={value}" for key, value in keys.items())]
    daemon = subprocess.Popen(command)
    try:
        wait_for("the daemon is ready", lambda: own.exists() and "ready:" in own.read_text())
        ask(table, CLIENT)
        say(f"lena logs in from {CLIENT}: the mail server appends a line.")
        with log.open("a") as file:
            stamped = int(time.time())
            timestamp = time.strftime("%b %e %H:%M:%S", time.localtime(stamped))
            file.write(
                f"{timestamp} mx1 dovecot: imap-login: Login: user=<lena@example.com>, method=PLAIN, rip={CLIENT}, "
                "lip=192.0.2.10, mpid=5120, TLS, session=<0kQm3vQ7p9wgAQ24>\n"
            )
        begun = time.monotonic()
        wait_for("the row appears", lambda: f"added {CLIENT} to DB" in own.read_text())
        print(f"  {(time.monotonic() - begun) * 1000:.0f} ms later:")
        ask(table, CLIENT)
        wait_for("the row expires", lambda: f"removed {CLIENT} from DB" in own.read_text(), seconds=GRACE + 10)
        say(f"{time.time() - stamped:.1f} s after the login's timestamp, which has whole seconds:")
        ask(table, CLIENT)
    finally:
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(timeout=20)
    say("What the daemon wrote into its own log:")
    print("".join(f"  {line}\n" for line in own.read_text().splitlines()), end="")
    return status


def ask(table: str, client: str) -> None:
    """Show the table as `pbs-fast list` and, where Postfix is installed, as Postfix sees it."""
    listed = subprocess.run([PROGRAM, "list", f"--dbfile={table}"], check=True, capture_output=True, text=True).stdout
    print("  pbs-fast list: " + " ".join(listed.split()))
    postmap, kind = shutil.which("postmap", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin"), table.partition(":")[0]
    if postmap is None or kind not in types():
        print(f"  (postmap -q: no Postfix with {kind} tables here)")
        return
    answer = subprocess.run([postmap, "-q", client, table], check=False, capture_output=True, text=True).stdout.strip()
    print(f"  postmap -q {client}: {answer or 'not found, so Postfix does not relay'}")


def types() -> list[str]:
    """The table types that Postfix can read here."""
    postconf = shutil.which("postconf", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin")
    if postconf is None:
        return []
    return subprocess.run([postconf, "-m"], check=False, capture_output=True, text=True).stdout.split()


def wait_for(what: str, probe: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            raise SystemExit(f"demo: waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.002)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
