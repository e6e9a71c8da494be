"""Dovecot's login elements and the words round them, as sub-patterns for placeholders.

A login is logged as what happened (`%$`, `%{message}`) and the elements (`%s`, `%{elements}`) in the order and with
the punctuation of `login_log_format`; the elements are those of `login_log_format_elements` that are not empty, joined
by `, ` (`client_get_log_str` in src/login-common/client-common.c, in the sources of 1.0 to 2.4). Two kinds of
sub-patterns read them: `to_rip` and `after_rip` any elements, behind Dovecot's own punctuation; `to_address` and
`after_address` elements of a known form only, behind and before any.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pbs_fast.formats.words import words

#: Login elements whose values are kept: the text that starts one, and its value up to the element's end.
_ELEMENTS = {
    "user": ("user=<", r"(?P<user>[^<>]*)>"),
    "session": ("session=<", r"(?P<session>[^<>]*)>"),
    "lip": ("lip=", r"\[?(?P<lip>[0-9A-Fa-f:.]+)(?:\](?::[0-9]+)?)?"),
    "tls": ("TLS", r"(?P<tls>)"),
    "pid": ("mpid=", r"(?P<pid>[0-9]+)"),
}
#: The mechanism of a login without an account: ANONYMOUS (no other mechanism starts so).
_ANONYMOUS = "method=AN"

#: The process that logs: the usual services, and others that a site added (`service imap-login2`). Their names start
#: like those of their protocols' programs.
SERVICE = "(?:imap|pop3)-login[0-9A-Za-z_-]*"
#: Punctuation of a `login_log_format` between what happened and the elements, as in `%$: %s`, `%$ [%s]`, `%$ -- %s --`.
BEFORE = r"[:;,]? (?:[|>~=-]+ )?[\[({]?"
#: The same behind the elements at the message's end.
AFTER = r"(?: [|<~=-]+)?"
#: The same between the elements and what happened, as in `%s: %$`, `[%s] %$`, `%s %$`.
BEHIND = r" (?:[|>~=-]+ )?"


def _leaves(argument: str, tail: str, rest: str, never: str) -> dict[str, str | None]:
    """The elements of an argument such as `user lip !session`: named ones are kept, those after `!` must not occur."""
    leaves: dict[str, str | None] = {"rip=": None, _ANONYMOUS: None}
    for name, kept in _asked(argument).items():
        start, value = _ELEMENTS[name]
        leaf = value + tail if kept else None
        if name == "tls":  # only the whole word: `TLSv1.3 with cipher ...` may be an element of its own
            other = f"[^ ,{never}]{rest}"
            leaf = other if leaf is None else f"(?:{leaf}|{other})"
        leaves[start] = leaf
    return leaves


def _asked(argument: str) -> dict[str, bool]:
    """The names of an argument, and whether each is to be kept. Raises ValueError for one that is no element."""
    asked = {word.removeprefix("!"): not word.startswith("!") for word in argument.split()}
    for name in asked:
        if name not in _ELEMENTS:
            raise ValueError(f"knows no element '{name}', only {', '.join(_ELEMENTS)}")
    return asked


def to_rip(argument: str) -> str:
    """Elements up to and including the first `rip=`; further words in `ri...` are refused, which keeps it one-pass.

    "Words up to one that starts with rip=" has a one-pass pattern only when the way out is nested: after a word that
    begins with r but not with ri, the words are read by a second loop, in which nothing is kept (a group can occur
    once in a pattern), so an element that is kept must come before such a word (`rport=`) or after the address.

    No word ends in a colon: Dovecot puts `: ` between what it says and its elements (login_log_format), so that a text
    of a stranger which starts like a login is not read on into the true elements behind it.
    """
    rest = r"[^ :]*(?::+[^ :]+)*"
    leaves = _leaves(argument, ",", rest, ":")
    del leaves["rip="]
    # Three bytes tell these from all other elements; spelling them out would make the pattern half as long again.
    again: dict[str, str | None] = {
        start if start == _ANONYMOUS else start[:3]: None for start in leaves if start != "TLS"
    }
    if "TLS" in leaves:
        again["TLS"] = f"[^ ,:]{rest}"
    first, second = (words(each, rest=rest, never=":", first="r") for each in (leaves, again))
    return f"(?:{first} )*r(?:(?:[^ i:]{rest})? (?:{second} )*r)*ip="


def after_rip(argument: str) -> str:
    """The elements after the address up to the message's end, none of which is a second `rip=`.

    A word that is not kept holds no `<` and no `>`, and nothing but a comma after a `)`: so what Dovecot's mail
    processes write after a user's name (`)<812><session>: ...`, `): ...`) is never read as elements. A name with a
    line feed puts whatever it likes in front of that.
    """
    rest, never = r"[^ <>)]*(?:\),?)?", "<>)"
    return f"(?:,(?: {words(_leaves(argument, ',?', rest, never), rest=rest, never=never)})*)?"


#: What a proxy says it did: up to 2.2 `store2:143/otto (master admin)`, in 2.3 `<192.0.2.77> (<store2>) as user otto
#: (master admin) (0.010 secs)`, in 2.4 `remote host from 192.0.2.1 as user otto (master admin) (0.010 secs, 2
#: reconnects)` (src/login-common/login-proxy.c), where what comes between the first part and the last may be missing.
_TIMES = r"[0-9][^()]*\)"
_HOST = rf"(?:from [^ ]+ )?(?:as user [^ ]+ )?\((?:master [^()]*\) \()?{_TIMES}"
_PLACE = rf"<[^<>]*> (?:as user [^ ]+ )?\((?:(?:<[^<>]*>|master [^()]*)\) (?:as user [^ ]+ )?\()*{_TIMES}"
_OLD = r":+(?:[^ :<][^ :]*(?: \(master [^()]*\))?:+)* "
#: What comes between "proxying to " and the elements.
PROXIED_TO = rf"(?:[^ :<][^ :]*(?: (?:host {_HOST}: |\(master [^()]*\){_OLD})|{_OLD})|{_PLACE}: )"
#: The same at a message's end, or before other punctuation; from 2.3 on.
PROXIED = rf"(?:remote host {_HOST}|{_PLACE})"

#: Names that sites give the element of the client's address; `rip` is Dovecot's own. A line has one of them.
_ADDRESSES = ("rip", "remote", "from", "ip", "client")
_VALUE = "[0-9A-Za-z_.@/+-]*"
#: Elements of a site's own: none of their names starts like one of Dovecot's or of those, which keeps patterns short.
_OTHERS = f"[abdeghjknopqtvwxyz][a-z0-9_-]*={_VALUE}"
#: Of the mechanisms with an A, all but ANONYMOUS.
_METHOD = "(?:[B-Z]|A[0-9A-MO-Z-])[0-9A-Z-]*"
_CIPHER = r"(?:v[0-9.]+ with cipher [0-9A-Za-z_-]+ \([0-9/]+ bits\))?"
_CLOSED = r"[\])}]*"


def to_address(argument: str) -> str:
    """Elements of a known form up to and including the name of the client's address, whichever of the usual ones."""
    return f"(?:{_element(argument)}, )*(?:{'|'.join(_ADDRESSES)})="


def after_address(argument: str) -> str:
    """The elements of a known form after the address, none of which is a second one, and what closes them.

    A colon behind the server's address is one of its own bytes to the pattern, so such an address is not kept.
    """
    return f"(?:, {_element(argument, closed=_CLOSED, close=f'{_CLOSED}[:;]?', further=['rport=[0-9]+'])})*"


def _element(argument: str, *, closed: str = "", close: str = "", further: Sequence[str] = ()) -> str:
    """One element: one of Dovecot's own, one of `further`, or one of a site's.

    `closed` follows the server's address, `close` all others. Ways that start alike are joined, which is one-pass.
    """
    asked = _asked(argument)

    def kept(name: str) -> str | None:
        start, value = _ELEMENTS[name]
        if asked.get(name) is False:
            return None
        return start + (value if name in asked else re.sub(r"\(\?P<[a-z]+>", "(?:", value))

    plain = "[0-9A-Fa-f:.]+"
    lip = f"(?P<lip>{plain})" if asked.get("lip") else plain
    address = None if asked.get("lip") is False else rf"lip=(?:\[{plain}\](?::[0-9]+)?|{lip}){closed}"
    ways = [
        f"TLS{'(?P<tls>)' if asked.get('tls') else ''}{_CIPHER}{close}",
        _joined("se", f"secured{close}", _and(kept("session"), close)),
        _joined("m", f"method={_METHOD}{close}", _and(kept("pid"), close)),
        _joined("l", f"lport=[0-9]+{close}", address),
        _and(kept("user"), close),
        *(f"{each}{close}" for each in further),
        f"{_OTHERS}{close}",
    ]
    return f"(?:{'|'.join(way for way in ways if way is not None)})"


def _and(pattern: str | None, close: str) -> str | None:
    return None if pattern is None else pattern + close


def _joined(start: str, *ways: str | None) -> str:
    """Patterns that all start with this text, of which some may be None."""
    return f"{start}(?:{'|'.join(way.removeprefix(start) for way in ways if way is not None)})"
