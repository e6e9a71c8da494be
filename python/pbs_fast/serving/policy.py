r"""Requests of Postfix's policy protocol (SMTPD_POLICY_README): lines `name=value`, then an empty one; no socket.

Invariants: the result does not depend on how the stream was cut; at most one request of LONGEST bytes is buffered;
after a fault nothing more is read from the stream. What is not exactly a request of smtpd's is a fault: an answer to
it would be a guess.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pbs_fast.serving.framing import FramingError

#: The longest request in bytes, its empty line included. Postfix's have some 700, and an address 2,048 at most
#: (line_length_limit).
LONGEST = 16 << 10

#: What an instance and a queue id may be: smtpd has hexadecimal digits and dots (smtpd_check.c), 17 letters and digits
#: at most (mail_queue.h). They are remembered for a day and shown, and with `inet:` anybody on the host may send them.
_NAME = re.compile(r"[0-9A-Za-z.]{0,64}")

_END = b"\n\n"


class PolicyError(FramingError):
    """Not a request of the policy protocol; the rest of the stream cannot be used."""


class Request(NamedTuple):
    """The attributes that are read; empty where Postfix has none or does not send it. Others are passed over."""

    protocol_state: str = ""
    """`RCPT`, `DATA` or another command of SMTP, or CONNECT, END-OF-MESSAGE."""
    client_address: str = ""
    """As Postfix writes it: IPv4, IPv6, or `unknown`."""
    instance: str = ""
    """Tells a message from all others of this Postfix; the same for all of its recipients."""
    queue_id: str = ""
    """Empty until Postfix has accepted a recipient."""
    sasl_username: str = ""
    """Empty unless the client authenticated."""
    recipient_count: str = ""
    """0 before DATA."""
    policy_context: str = ""
    """What the clause in main.cf says (Postfix 3.1)."""


class Decoder:
    """Decodes one stream. Call `feed` with the bytes that arrive."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def partial(self) -> bool:
        """Whether a request has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The requests that these bytes complete, in order, each for `parse`.

        Raises PolicyError for one that is too long; the requests before it in the same call are lost. Close the stream.
        """
        *requests, rest = (self._buffer + data).split(_END)
        if len(rest) >= LONGEST or any(len(each) > LONGEST - len(_END) for each in requests):
            raise PolicyError
        self._buffer = rest
        return requests


def parse(request: bytes) -> Request:
    """The request. Raises PolicyError if it is not one of an smtpd, or has an attribute twice, or an instance or a
    queue id of other characters than Postfix's."""
    lines = request.decode("utf-8", "replace").split("\n")
    try:
        found = dict([line.split("=", 1) for line in lines])
    except ValueError:
        raise PolicyError from None
    if len(found) != len(lines) or found.get("request") != "smtpd_access_policy":
        raise PolicyError
    get = found.get
    if not (_NAME.fullmatch(get("instance", "")) and _NAME.fullmatch(get("queue_id", ""))):
        raise PolicyError
    return Request(*[get(name, "") for name in Request._fields])


def encode(action: str) -> bytes:
    """The reply with this action (access(5)): one line of printable ASCII, whatever it is made of."""
    if not (action.isascii() and action.isprintable()):
        action = "".join(char if " " <= char <= "~" else "?" for char in action)
    return f"action={action}\n\n".encode("ascii")
