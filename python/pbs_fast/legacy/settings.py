"""What is neither a pattern nor the table: log, networks, switches and our own log, as keys of the TOML.

Imports what evaluated the configuration, and the report.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

from pbs_fast.config.keys import KEYS
from pbs_fast.config.kinds import RefusedError
from pbs_fast.legacy.evaluate import Old
from pbs_fast.legacy.report import Report
from pbs_fast.legacy.routine import UnreadError, is_empty

_SWITCHES = ("write", "debug", "reprocess")
#: How the old sections' own functions were called, which read the log as ours does.
_READERS = {
    "tail_init_func": {"tail_init", "init_FileTail"},
    "tail_getline_func": {"tail_getline", "getline_FileTail", "getline_stdin"},
}
_NETWORKS = ("mynet_tcprules", "mynet_courier", "mynet_sendmail")


class Setting(NamedTuple):
    """One line of the TOML."""

    key: str
    value: Any
    was: str


def log(old: Old, report: Report) -> Iterator[Setting]:
    """The log that is followed."""
    for variable, known in _READERS.items():
        value = old.value(variable)
        if isinstance(value, dict) and not (
            value["function"] in known or (value.get("own") and does_nothing(value["text"]))
        ):
            report.leave(
                f"${variable} = \\&{value['function']} ({old.where(variable)})",
                "reads the log by code of your own, which has no counterpart",
                'name the log as watchlog, or give its lines to standard input (watchlog = "-")',
            )
    name = old.file_tail.get("name")
    given = name is not None and "name" in old.values.get("file_tail", {})
    if function(old, "tail_getline_func") == "getline_stdin":
        yield Setting("watchlog", "-", f"$tail_getline_func = \\&getline_stdin ({old.where('tail_getline_func')})")
    elif name and re.search(r"^\s*[<>]|\|\s*$", str(name)):
        report.leave(
            f"$file_tail{{'name'}} = '{name}' ({_where(old, 'name')})",
            "is a command, which perl started",
            'name a file as watchlog, or give the lines to standard input (watchlog = "-")',
        )
    elif name and (given or os.path.isfile(name)):  # noqa: PTH113
        where = _where(old, "name") if given else "its default"
        yield Setting("watchlog", str(name), f"$file_tail{{'name'}} = '{name}' ({where})")
    elif name:
        report.remark(
            f"watchlog: the old program's default {name} is not there; the first usual log that is is followed"
        )
    tail = old.values.get("file_tail", {})
    if str(tail.get("tail", "-1")) != "-1":
        report.note(
            f"$file_tail{{'tail'}} = {tail['tail']} ({_where(old, 'tail')}): not needed, a start reads the log "
            "back as far as the grace time reaches, rotated files included"
        )
    if polling := [key for key in sorted(tail) if key not in ("name", "tail")]:
        shown = ", ".join(f"{key} = {tail[key]} ({_where(old, key)})" for key in polling)
        report.note(f"%file_tail: {shown}: not needed, the log is watched, not polled")


def _where(old: Old, key: str) -> str:
    return old.where(f"file_tail.{key}" if f"file_tail.{key}" in old.lines else "file_tail")


def switches(old: Old, report: Report) -> Iterator[Setting]:
    """The grace time and the switches."""
    if "grace" in old.values:
        yield _grace(old, report)
    for name in _SWITCHES:
        if name in old.values:
            yield Setting(name, truth(old.values[name]), f"${name} = {old.values[name]} ({old.where(name)})")


def _grace(old: Old, report: Report) -> Setting:
    text = str(old.values["grace"])
    was = f"$grace = {text} ({old.where('grace')})"
    try:
        seconds = int(float(text))
    except (ValueError, OverflowError):
        seconds = 0
    allowed = seconds
    for allowed in (seconds, 1 if seconds < 1 else 30 * 86_400):
        try:
            KEYS["grace"].kind.read(allowed)
            break
        except RefusedError:
            continue
    if str(allowed) != text:
        report.leave(was, f"is not {KEYS['grace'].kind.allowed}", f"{allowed} is in force, which grants no longer")
    return Setting("grace", allowed, was)


def networks(old: Old, report: Report) -> Iterator[Setting]:
    """Those that may relay anyway."""
    name = function(old, "mynet_func")
    value = old.value("mynet_func")
    was = f"$mynet_func = \\&{name} ({old.where('mynet_func' if 'mynet_func' in old.values else str(name))})"
    own = isinstance(value, dict) and bool(value.get("own"))
    if old.values.get("mynets"):
        was = f"@mynets ({old.where('mynets')})"
        if not own:
            report.note(f"{was}: the old program put what $mynet_func returns in its place; here it is in force")
        text = " ".join(str(each) for each in old.values["mynets"] if each)
    elif own and old.networks_error:
        report.leave(was, f"its code fails here: {old.networks_error}", "list the networks as mynetworks")
        return
    elif own:
        text = old.networks or ""
        if not _is_constant(value["text"]):
            report.note(f"{was}: what its code returns now; it is not run again")
    elif name in _NETWORKS:
        yield Setting("mynetworks", ["127.0.0.0/8"], was)
        report.note(f"mynetworks: {name} named the loopback network; add those that may relay anyway")
        return
    elif "mynet_func" in old.values and name == "mynet_postfix":
        text = "postfix"
    else:
        text = ""
        yield from _postconf(old, report)
        return
    found = list(_words(text, was, report))
    yield Setting("mynetworks", found, was)
    if "postfix" in found:
        yield from _postconf(old, report)


def _is_constant(text: str) -> bool:
    return re.fullmatch(r"\{\s*(?:(?:use|no) \w+;\s*)*(?:return )?(?:'[^']*'|\"[^\"$@]*\");?\s*\}", text) is not None


def _words(text: str, was: str, report: Report) -> Iterator[str]:
    """The networks of a text, as the old program took them (Net::Netmask), in the form that is read here."""
    maps, wrong = [], []
    for word in filter(None, re.split(r"[\s,]+", text)):
        if word == "postfix" or word.startswith("/"):
            yield word
        elif re.match(r"[a-z]+:", word) and not word.startswith("::"):
            maps.append(word)
        elif (network := _network(word)) is not None:
            yield network
        else:
            wrong.append(word)
    if maps:
        report.note(f"{was}: maps are not networks and were ignored: {' '.join(maps)}")
    if wrong:
        report.leave(was, f"no networks that can be read: {' '.join(wrong)}", "write them as ADDRESS/PREFIX")


def _network(word: str) -> str | None:
    """`192.168.1.1/24` means its network; `10.1.2` is 10.1.2.0/24; a mask may stand for the prefix length."""
    bare = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](/\d+)?", word)
    word = bare[1] + (bare[2] or "") if bare else word
    short = re.fullmatch(r"(\d+(?:\.\d+){0,2})\.?", word)
    if short:
        parts = short[1].split(".")
        word = ".".join(parts + ["0"] * (4 - len(parts))) + f"/{8 * len(parts)}"
    word = re.sub(r"^([\d.]+)[:/]([\d.]+\.[\d.]+)$", r"\1/\2", word)
    try:
        network = ipaddress.ip_network(word, strict=False)
    except ValueError:
        return None
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def _postconf(old: Old, report: Report) -> Iterator[Setting]:
    """Where postconf is, when the file changes the path of commands."""
    if old.search_path is None:
        return
    was = f"$ENV{{'PATH'}} = '{old.search_path}' ({old.where('ENV.PATH')})"
    found = shutil.which("postconf", path=old.search_path)
    if found is None:
        report.leave(was, "there is no postconf in it, which tells mynetworks", 'write where it is: postconf = "/..."')
    else:
        yield Setting("postconf", found, was)


def own_log(old: Old, report: Report) -> Iterator[Setting]:
    """Our own log. A file named by $logto won over every $log_func."""
    name = function(old, "log_func")
    if old.values.get("logto"):
        logto = str(old.values["logto"])
        yield Setting("logto", logto, f"$logto = '{logto}' ({old.where('logto')})")
        if name is not None:
            report.note(
                f"$log_func = \\&{name} ({old.where('log_func')}): not used by the old program, where $logto wins"
            )
    elif name == "log_to_stdout" and old.output_log is not None:
        yield Setting("logto", old.output_log, f"set_output_log('{old.output_log}') ({old.where('set_output_log')})")
    elif name == "syslog":
        yield Setting("logto", "syslog", f"$log_func = \\&syslog ({old.where('log_func')})")
    elif name is not None:
        report.leave(
            f"$log_func = \\&{name} ({old.where('log_func')})",
            "code of your own has no counterpart",
            'logto names a file, or is "syslog" or "journal"',
        )


def function(old: Old, name: str) -> str | None:
    """The name of the function that a variable refers to."""
    value = old.value(name)
    return str(value["function"]) if isinstance(value, dict) and "function" in value else None


def does_nothing(text: str) -> bool:
    try:
        return is_empty(text)
    except UnreadError:
        return False


def truth(value: object) -> bool:
    """As Perl sees it."""
    return value not in (None, "", "0")
