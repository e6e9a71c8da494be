"""What an smtpd asks a policy service (SMTPD_POLICY_README), and how long it waits.

asking.py SOCKET SECONDS RATE        asks RATE times a second
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

CLIENT = "203.0.113.5"
#: Questions a second: twice what a hub with 1,000 relayed recipients a minute has at its busiest.
ASKED = 200


def question(client: str) -> bytes:
    """As long as smtpd's."""
    unread = "".join(f"attribute_{number}=some value\n" for number in range(24))
    text = f"request=smtpd_access_policy\nprotocol_state=RCPT\ninstance=1.2.3\nclient_address={client}\n{unread}\n"
    return text.encode()


def ask(path: Path, seconds: float, rate: float = ASKED) -> list[float]:
    """Ask `rate` times a second; the sorted times of the answers, in milliseconds."""
    took, asked = [], question(CLIENT)
    with socket.socket(socket.AF_UNIX) as smtpd:
        smtpd.settimeout(60)
        smtpd.connect(os.fspath(path))
        begun = due = time.perf_counter()
        while due < begun + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            sent = time.perf_counter()
            smtpd.sendall(asked)
            if not smtpd.recv(4096).startswith(b"action="):
                raise AssertionError("no answer")
            took.append(1e3 * (time.perf_counter() - sent))
            due = max(due + 1 / rate, time.perf_counter())
    return sorted(took)


if __name__ == "__main__":
    ask(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
