"""Requests and replies as lines of the control sockets, version 1 (docs/CONTROL.md). Pure: no socket, no clock.

One JSON object a line, UTF-8; what is not known here is refused.
Invariant: `decode_request(encode_request(n, request))` is `(n, request)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from pbs_fast.control.protocol import (
    EVENTS,
    LONGEST_MANUAL,
    LONGEST_NODE,
    LONGEST_REASON,
    LONGEST_USER,
    REQUESTS,
    VERSION,
    AnyRequest,
    Refusals,
    Request,
    RequestError,
)
from pbs_fast.util.addresses import canonical, parse_network
from pbs_fast.util.text import printable

_ENVELOPE = ("v", "id", "do")


def encode_request(number: int, request: Request[Any]) -> bytes:
    """The line of a request; keys that are not set are left out."""
    values = {key: getattr(request, name) for key, name in _keys(type(request)).items()}
    set_ = {key: value for key, value in values.items() if value not in (None, "", ())}
    return line({"v": VERSION, "id": number, "do": request.do, **set_})


def decode_request(data: bytes) -> tuple[int, AnyRequest]:
    """The id and the request of a line. Raises RequestError (`bad_request`), with the id where it can be read."""
    try:
        record = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise RequestError("bad_request", "not a JSON object in UTF-8") from None
    if not isinstance(record, dict):
        raise RequestError("bad_request", "not a JSON object")
    number = record.get("id")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 53:
        raise RequestError("bad_request", '"id" must be a whole number from 0 to 2^53-1')
    try:
        return number, _request(record)
    except RequestError as error:
        error.id = number
        raise


def line(record: Mapping[str, object]) -> bytes:
    """A record as one line. Lone surrogates (bytes of a log that are not UTF-8) are escaped, which JSON allows."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def ok(number: int, value: object) -> bytes:
    """The line of a reply."""
    return line({"v": VERSION, "id": number, "ok": value})


def error(number: int | None, fault: RequestError) -> bytes:
    """The line of an error; the id is null where the request's cannot be read."""
    about: dict[str, object] = {"code": fault.code, "text": str(fault)}
    if fault.guard is not None:
        about["guard"] = fault.guard
    return line({"v": VERSION, "id": number, "error": about})


def _request(record: dict[str, Any]) -> AnyRequest:
    if record.get("v") != VERSION:
        raise RequestError("bad_request", f'"v" must be {VERSION}, the version of the protocol that this daemon speaks')
    do = record.get("do")
    if not isinstance(do, str) or do not in REQUESTS:
        raise RequestError("bad_request", f'"do": {_unknown(do, REQUESTS)}')
    form = REQUESTS[do]
    keys = _keys(form)
    for key in record:
        if key not in keys and key not in _ENVELOPE:
            raise RequestError("bad_request", f'"{do}": {_unknown(key, [*_ENVELOPE, *keys])}')
    values = {keys[key]: _CHECKS[key](key, value) for key, value in record.items() if key in keys}
    _check_who(form, values)
    try:
        return form(**values)
    except TypeError:
        missing = [key for key, name in keys.items() if name not in values and key != "reason"]
        raise RequestError("bad_request", f'"{do}" needs {" and ".join(missing)}') from None


def _check_who(form: type[AnyRequest], values: Mapping[str, object]) -> None:
    """Raise RequestError unless a request names the one whom it is about."""
    most = [name for name in ("ip", "network", "user", "node") if name in form.__dataclass_fields__]
    named = [name for name in most if name in values]
    if len(named) > 1 or (not named and len(most) > 1 and form is not Refusals):
        raise RequestError("bad_request", f'"{form.do}" needs exactly one of {", ".join(most)}')


def _keys(form: type[Any]) -> dict[str, str]:
    """Key on the wire -> field."""
    return {each.metadata.get("key", each.name): each.name for each in fields(form)}


def _unknown(word: object, names: Iterable[str]) -> str:
    shown = printable(word) if isinstance(word, str) and len(word) <= 60 else "this"
    names = list(names)
    near = get_close_matches(word[:60], names, n=1, cutoff=0.4) if isinstance(word, str) else []
    known = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    return f"{shown} is not known here; {known}"


def _refuse(key: str, needs: str) -> RequestError:
    return RequestError("bad_request", f'"{key}" must be {needs}')


def _ip(key: str, value: object) -> str:
    found = canonical(value) if isinstance(value, str) else None
    if found is None:
        raise _refuse(key, "an IP address")
    return found


def _network(key: str, value: object) -> str:
    try:
        network = parse_network(value if isinstance(value, str) else "")
    except ValueError:
        raise _refuse(key, "a network such as 192.0.2.0/24, without bits set after its prefix") from None
    return str(network) if network.prefix != network.width else f"{network}/{network.width}"


def _text(longest: int, empty: bool = False) -> Any:
    def check(key: str, value: object) -> str:
        if not isinstance(value, str) or not (empty or value) or len(value) > longest:
            raise _refuse(key, f"a text of at most {longest} characters")
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate, which our files do not take
            raise _refuse(key, "a text in UTF-8") from None
        return value

    return check


def _seconds(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_MANUAL:
        raise _refuse(key, f"whole seconds from 1 to {LONGEST_MANUAL}")
    return value


def _kinds(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _refuse(key, "a list of kinds of events")
    for kind in value:
        if kind not in EVENTS:
            raise RequestError("bad_request", f'"{key}": {_unknown(kind, EVENTS)}')
    return tuple(value)


_CHECKS: Mapping[str, Any] = MappingProxyType(
    {
        "ip": _ip,
        "network": _network,
        "user": _text(LONGEST_USER),
        "node": _text(LONGEST_NODE),
        "table": _text(4096),
        "reason": _text(LONGEST_REASON, empty=True),
        "for": _seconds,
        "kinds": _kinds,
    }
)
