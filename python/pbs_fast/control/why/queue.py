"""Which messages in Postfix's queue are a user's: by the client address that smtpd logs with each queue id.

Postfix logs `QID: client=NAME[ADDRESS]` once a message (smtpd.c), and `postqueue -j` lists what is queued as JSON,
one object a line, since Postfix 3.1 (postqueue(1)).
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pbs_fast.errors import PbsError
from pbs_fast.util.text import fold_user

if TYPE_CHECKING:
    from pbs_fast.control.why.findings import Login, LogPart, Message
    from pbs_fast.control.why.judge import Investigation

_SBIN = "/usr/sbin:/usr/local/sbin"
#: Seconds; it asks the daemon showq, which reads each queue file.
_PATIENCE = 300.0


def sent_by(
    logs: Investigation, user: str | None, address: str | None, *, since: int, now: int
) -> tuple[list[str], list[str]]:
    """The queue ids of messages from an address, or from a user's addresses after a login of theirs; what could not be
    read. `since` and `now` in seconds since the epoch."""
    if address is not None:
        found = logs.about([address], since=since, now=now)
        return _ids(found.messages), _gaps(found.logs)
    assert user is not None  # noqa: S101 - one of the two is set
    logins = logs.about(user=user, since=since, now=now)
    addresses = {login.ip for login in logins.logins}
    if not addresses:
        return [], _gaps(logins.logs)
    found = logs.about(addresses, since=since, now=now)
    mine = [each for each in found.messages if _is_of(each, found.logins, fold_user(user), found.grace)]
    return _ids(mine), _gaps(found.logs)


def _is_of(message: Message, logins: Iterable[Login], user: str, grace: int) -> bool:
    """Whether the last login of the address before a message was the user's. Behind a shared address this may be
    another's: POP before SMTP cannot tell them apart."""
    if message.at is None:
        return False
    # Both lines may have the same second.
    earlier = [each for each in logins if each.ip == message.ip and message.at - grace <= each.at <= message.at]
    last = max(earlier, key=lambda login: login.at, default=None)
    return last is not None and last.user is not None and fold_user(last.user) == user


def _ids(messages: Iterable[Message]) -> list[str]:
    return list(dict.fromkeys(each.queue_id for each in messages))


def _gaps(logs: Iterable[LogPart]) -> list[str]:
    return [log.reason for log in logs if not log.complete]


def queued(ids: Iterable[str], postconf: str = "postconf") -> list[str]:
    """Those of the queue ids that are in Postfix's queue now, in their order. Raises PbsError.

    `postconf` is the command of the configuration, whose option -c names the instance.
    """
    wanted = list(ids)
    if not wanted:
        return []
    program = shutil.which("postqueue") or shutil.which("postqueue", path=_SBIN)
    if program is None:
        raise PbsError("postqueue: no such command; run this on the machine where Postfix is")
    command = [program, *_instance(postconf), "-j"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE)  # noqa: S603
    except OSError as error:
        raise PbsError(f"{program}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise PbsError(f"{shlex.join(command)}: no answer in {_PATIENCE:.0f} s; run it by hand") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise PbsError(f"{shlex.join(command)} failed with {done.returncode}: {said[-1]}")
    here = {_id(line) for line in done.stdout.splitlines()}
    return [each for each in wanted if each in here]


def _instance(postconf: str) -> list[str]:
    """The option that names the directory of a further Postfix instance, from `postconf -c DIRECTORY`."""
    try:
        words = shlex.split(postconf)
    except ValueError as error:
        raise PbsError(f"postconf = {postconf!r}: {error}; give a command and its options") from None
    return next((words[at : at + 2] for at, word in enumerate(words) if word == "-c"), [])


def _id(line: bytes) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    return str(record.get("queue_id", "")) if isinstance(record, dict) else ""
