"""A daemon's sockets with answers that a test writes: to see what commands make of each."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

#: What `do` is answered with: messages without `v` and `id`; a function gets the request.
Answers = Mapping[str, list[dict[str, Any]] | Callable[[dict[str, Any]], list[dict[str, Any]]]]


class FakeDaemon:
    """Listens on `control` and `status` in a directory. `asked` are the requests so far."""

    def __init__(self, directory: Path, answers: Answers) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = answers
        directory.mkdir(exist_ok=True)
        self._listeners = []
        for name in ("control", "status"):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(directory / name))
            listener.listen()
            self._listeners.append(listener)
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def close(self) -> None:
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines, suppress(OSError):
                for line in lines:
                    request = json.loads(line)
                    self.asked.append(request)
                    answer = self._answers[request["do"]]
                    for message in answer(request) if callable(answer) else answer:
                        client.sendall(json.dumps({"v": 1, "id": request["id"], **message}).encode() + b"\n")
                    break
