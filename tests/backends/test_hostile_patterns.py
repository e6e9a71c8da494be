"""A site's own patterns that `re` could run for ever: both backends take the same of the same lines, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given

from backends.inline import REFERENCE, ZONE
from daemon.running import Site
from formats.hostile import lines, patterns, pumped
from mta import private_directory
from pbs_fast.formats import Format
from pbs_fast.formats.automaton import Program
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.structure import PatternError
from pbs_fast.formats.timestamps import BSD
from pbs_fast.matching import Backend, load_backend
from support.examples import examples
from support.timing import growth

HEAD = b"Mar  4 07:12:09 mx mypop[1]: "


def of_site(body: str) -> Format:
    """One format with the pattern in each place that a site can give it."""
    message = f"hi (?P<user>{body}) " + expand("from {ip}")
    whole = f"^(?P<timestamp>{BSD}) (?P<user>{body})=" + expand("{ip}$")
    return Format("mine", "Mine", "1", ("mypop",), (), (), (message,), (), line_login=(whole,))


def events(core: Backend, fmt: Format, data: bytes) -> list[object]:
    matcher = core.Matcher([fmt], ZONE)
    stream = core.Stream(matcher, source="", gap=0, fold=False)
    return list(stream.events(matcher.scan(data, reference=REFERENCE)))


@pytest.mark.system
@examples(300)
@given(body=patterns(), text=lines(8))
def test_both_backends_take_the_same(body: str, text: bytes, share: Callable[[object], None]) -> None:
    try:
        Program(f"{of_site(body).line_login[0]}")
    except PatternError:
        return
    fmt = of_site(body)
    tried = [text, b"", b"a", b"ab", b"aa b", b"a,b", b"bb"]
    data = b"".join(
        line
        for each in tried
        for line in (HEAD + b"hi " + each + b" from 192.0.2.1\n", HEAD[:16] + each + b"=192.0.2.2\n")
    )
    rust, python = (events(load_backend(name), fmt, data) for name in ("rust", "python"))
    assert rust == python
    share(rust)


@examples(60)
@given(body=patterns(), parts=pumped())
def test_the_longest_lines_cost_their_length(body: str, parts: tuple[bytes, bytes, bytes]) -> None:
    """Both ways of matching, in both backends."""
    try:
        Program(f"{of_site(body).line_login[0]}")
    except PatternError:
        return
    before, again, behind = parts

    def prepare(core: Backend, length: int) -> Callable[[], object]:
        text = (before + again * (length // len(again)) + behind)[:length]
        data = HEAD + b"hi " + text + b" from 192.0.2.1\n" + HEAD[:16] + text + b"=192.0.2.2!\n"
        matcher = core.Matcher([of_site(body)], ZONE)
        return lambda: matcher.scan(data, reference=REFERENCE)

    for name in ("rust", "python"):
        assert growth(partial(prepare, load_backend(name)), 1_000, 16) < 32, name


@pytest.mark.system
@pytest.mark.parametrize("backend", ["rust", "python"])
def test_a_daemon_that_reads_such_lines_stops_when_told(backend: str) -> None:
    site = Site(private_directory("hostile"), "text")
    try:
        hostile = ["(?:[a-z0-9-]{1,63}\\.?)+!", "(?:aa?)*!", "(?:[^ ]+ ?){1,20}!", ".*,.*,.*,.*!", "(?:x+)+!"]
        patterns_ = ", ".join(f"'hi {each} from {{ip}}'" for each in hostile)
        whole = ", ".join(f"'^[LOGTIME] {each} from {{ip}}'" for each in hostile)
        site.configure(
            f'core = "{backend}"\nlogtime = "(?:[a-z]+ ?)+!(.*)"\n[[format]]\nname = "mine"\nprogram = ["mypop"]\n'
            f"login = [{patterns_}, 'in {{user: }} {{ip}}']\nline_login = [{whole}]\n"
            "session.address = ['(?:x+)+y {ip}']\nsession.success = ['(?:x+)+z']\n"
        )
        daemon = site.start()
        now = time.strftime("%b %e %H:%M:%S")
        for again in ("a", "x", "a-b.", "a ", ","):
            site.append(
                f"{now} mx mypop: hi {again * (16_000 // len(again))} from 192.0.2.1", again * 8_000, again * 60
            )
        # A record after one that may be cut grants nothing.
        site.append(f"{now} mx mypop: a short record", f"{now} mx mypop: in ann 192.0.2.7")
        site.wait_rows("192.0.2.7")
        for again in ("a", "x", "a-b.", "a ", ",") * 20:
            site.append(f"{now} mx mypop: hi {again * (16_000 // len(again))} from 192.0.2.1")
        assert daemon.stop() == 0
        assert "caught SIGTERM -- exiting" in site.said()
    finally:
        site.close()
