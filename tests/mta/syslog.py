"""A syslog daemon of the smallest kind, and a /dev of its own for servers that shall speak to it.

Lines are what a server gives to syslog(3), tag and process id included, and stand in a file as they do in a mail log.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from pathlib import Path

#: Shell, for a mount namespace of its own: a /dev made at $1 that has the socket $2 as /dev/log, and the devices that
#: servers open.
PRIVATE_DEV = """
mkdir -p "$1"
mount -t tmpfs -o mode=0755 tmpfs "$1"
for name in null zero full random urandom tty; do touch "$1/$name"; mount --bind "/dev/$name" "$1/$name"; done
mkdir "$1/shm"
chmod 1777 "$1/shm"
ln -s "$2" "$1/log"
mount --move "$1" /dev
"""


class Syslog:
    """The /dev/log socket, and lines `Nov 22 23:01:12 hub MESSAGE` in a file."""

    def __init__(self, path: Path, log: Path, *, host: str = "hub") -> None:
        self.path = path
        self._log = log
        self._host = host.encode()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)

    def start(self) -> None:
        self._socket.bind(os.fspath(self.path))
        self.path.chmod(0o666)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", os.fspath(self.path))
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        with self._log.open("ab", buffering=0) as log:
            while True:
                datagram = self._socket.recv(65536)
                if not datagram:
                    return
                # `<22>Nov 22 23:01:12 dovecot: …`: priority, timestamp of 15 characters, then what the program wrote.
                found = re.fullmatch(rb"<\d+>(.{15}) (.*?)[\n\0]*", datagram, re.DOTALL)
                if found is not None:
                    log.write(found[1] + b" " + self._host + b" " + found[2].replace(b"\n", b"#012") + b"\n")
