"""The reading process of the table tests; commands come as JSON lines, answers go out the same way."""

from __future__ import annotations

import fcntl
import json
import socket
import sys
import threading
import time
from typing import Any, BinaryIO

from pbs_fast.errors import PbsError
from pbs_fast.tables import list_rows


def look_up(spec: str, keys: list[str]) -> dict[str, str]:
    """What a table that is served answers for each key, in its own protocol."""
    kind, _, path, *rest = spec.partition("?")[0].split(":")
    ask = ask_map if kind == "socketmap" else ask_policy
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answers:
        connection.settimeout(60)
        connection.connect(path)
        found = {key: ask(connection, answers, key, *rest) for key in keys}
    return {key: answer for key, answer in found.items() if answer is not None}


def ask_map(connection: socket.socket, answers: BinaryIO, key: str, name: str) -> str | None:
    """Socketmap: one netstring there and one back."""
    question = f"{name} {key}".encode()
    connection.sendall(b"%d:%b," % (len(question), question))
    digits = b""
    while (byte := answers.read(1)) != b":":
        digits += byte
    answer = answers.read(int(digits) + 1).decode().removesuffix(",")
    return None if answer == "NOTFOUND " else answer.removeprefix("OK ")


def ask_policy(connection: socket.socket, answers: BinaryIO, key: str) -> str | None:
    """The policy protocol: lines and an empty one there, one line and an empty one back."""
    connection.sendall(
        b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=%b\ninstance=1.2.3\n\n" % key.encode()
    )
    answer = answers.readline().decode().removeprefix("action=").removesuffix("\n")
    assert answers.readline() == b"\n"
    return None if answer == "DUNNO" else answer


def watch(spec: str, keys: set[str], stop: threading.Event, result: dict[str, Any]) -> None:
    while not stop.is_set():
        try:
            there = {key for key, _ in list_rows(spec)}
        except PbsError as error:
            result["errors"].append(str(error))
            continue
        result["polls"] += 1
        if not keys <= there:
            result["missing"].append(sorted(keys - there)[:3])
        time.sleep(0.001)  # an MTA's look-up takes microseconds; one that never lets go would lock writers out


def hold(file: str, kind: str, holding: threading.Event, release: threading.Event) -> None:
    with open(file, "rb") as opened:
        call = fcntl.flock if kind == "flock" else fcntl.lockf
        call(opened.fileno(), fcntl.LOCK_SH)
        holding.set()
        release.wait()


def main() -> None:
    stop, result, thread = threading.Event(), {}, None
    release = threading.Event()
    holders: list[threading.Thread] = []
    for line in sys.stdin:
        question = json.loads(line)
        answer: Any
        match question["do"]:
            case "list":
                spec = question["spec"]
                try:
                    served = spec.startswith(("socketmap:", "policy:"))
                    answer = look_up(spec, question["asked"]) if served else dict(list_rows(spec))
                except PbsError as error:
                    answer = str(error)
            case "watch":
                stop, result = threading.Event(), {"polls": 0, "missing": [], "errors": []}
                thread = threading.Thread(target=watch, args=(question["spec"], set(question["keys"]), stop, result))
                thread.start()
                answer = "watching"
            case "stop":
                assert thread is not None
                stop.set()
                thread.join()
                answer = result
            case "hold":
                holding = threading.Event()
                arguments = (question["file"], question["kind"], holding, release)
                holders.append(threading.Thread(target=hold, args=arguments))
                holders[-1].start()
                holding.wait()
                answer = "holding"
            case "release":
                release.set()
                for each in holders:
                    each.join()
                release, holders = threading.Event(), []
                answer = "released"
        print(json.dumps(answer), flush=True)
    stop.set()
    release.set()


if __name__ == "__main__":
    main()
