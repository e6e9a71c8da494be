"""What a reader gets: text of 80 columns, JSON, files for other programs; hostile names; pseudonyms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from pbs_fast.guards.deny import read_deny
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.matching.backends import load_backend
from pbs_fast.report.findings import quantile
from pbs_fast.report.page import as_page
from pbs_fast.report.record import record
from pbs_fast.report.style import COLOURS
from pbs_fast.report.text import as_text
from report.conftest import DAYS, Command, look
from report.town import DAY, HOSTILE_HELO, HOSTILE_USER, START, Town, town, write

MADE = datetime(2026, 12, 1, tzinfo=UTC)


def test_the_text(command: Command, town_log: Path, hub: Town) -> None:
    status, out, err = command("--caps", town_log)
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert f"{hub.ways['grant']:,} of them" in " ".join(out.split())
    for verdict in ("unused", "can", "fixed", "device", "roaming", "shared", "suspect"):
        logins = [truth for truth in hub.users.values() if truth.verdict == verdict]
        row = next(line for line in out.splitlines() if line.startswith(verdict))
        assert row.split()[1:3] == [f"{len(logins):,}", f"{sum(each.messages for each in logins):,}"]
    assert re.search(r"^200/1h    user         208       1  mallory0@example.org$", out, re.MULTILINE)


def test_the_json_has_the_keys_of_the_document(command: Command, town_log: Path) -> None:
    status, out, _ = command("--json", town_log)
    assert status == 0
    found = json.loads(out)
    document = (Path(__file__).parents[2] / "docs" / "REPORT.md").read_text().partition("\n## JSON\n")[2]
    described = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", document, re.MULTILINE))
    assert set(keys(found)) == described
    assert found["verdicts"]["suspect"]["logins"] == 2


def keys(value: object, above: str = "") -> Iterator[str]:
    """`a`, `a.b`, `a[].b`: where keys are data (verdicts, shares) only what holds them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{above}{key}"
            if key not in ("verdicts", "since_login", "recipients_an_hour"):
                yield from keys(inner, f"{above}{key}.")
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from keys(value[0], f"{above.removesuffix('.')}[].")


class Parsed(HTMLParser):
    """Elements and attributes of a page, and whether every element is closed."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_asks_for_nothing_and_names_everything(town_log: Path) -> None:
    page = as_page(look(load_backend(), [town_log]), made=MADE)
    parsed = Parsed(page)
    names = {tag for tag, _ in parsed.elements}
    assert not names & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "a",
        "image",
        "use",
        "foreignobject",
        "form",
        "base",
    }
    assert not re.search(r"https?:|url\(|@import|javascript:", page)
    assert {attribute for _, each in parsed.elements for attribute in each} <= {
        "lang", "charset", "name", "content", "http-equiv", "class", "scope", "viewbox", "role", "aria-labelledby",
        "id", "x", "y", "width", "height", "rx", "x1", "x2", "y1", "y2", "d",
    }  # fmt: skip
    # Headings in their order, and a name and a description for each picture.
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [each["id"] for _, each in parsed.elements if "id" in each]
    assert len(ids) == len(set(ids))
    pictures = [each for tag, each in parsed.elements if tag == "svg"]
    assert len(pictures) == 4
    for picture in pictures:
        assert picture["role"] == "img"
        assert set((picture["aria-labelledby"] or "").split()) <= set(ids)
    assert (
        sum(tag == "figure" for tag, _ in parsed.elements) == sum(tag == "details" for tag, _ in parsed.elements) == 4
    )
    assert HOSTILE_USER in parsed.texts
    assert "<script" not in page


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("colour", "least"),
    [(name, 4.5) for name in ("text", "quiet", "grant", "alarm", "link")]
    + [(name, 3.0) for name in ("auth", "mynetworks", "calm")],
)
def test_contrast(colour: str, least: float, ground: int) -> None:
    for behind in ("ground", "card"):
        assert contrast(COLOURS[colour][ground], COLOURS[behind][ground]) >= least
    assert contrast("#000000", "#ffffff") == 21


def hostile() -> Town:
    """Names that a terminal, a page, TOML or a list must not obey."""
    hub = Town(days=3)
    for number, user in enumerate(
        ('a"]\nb', "\x1b[31mred", "x\u202ey", "<b>&amp;", "o'x\\", "--", "#c", "ü@example.org")
    ):
        hub.person(user, "unused")
        hub.login(START + number * 60, user, f"84.0.8.{number + 1}")
        hub.mail(START + number * 60 + 5, f"84.0.8.{number + 1}", 1, helo=HOSTILE_HELO)
        hub.refused(START + number * 60 + 6, f"84.0.8.{number + 1}", f"{HOSTILE_HELO}\x1b[2J\u202e")
    return hub


def test_hostile_names(tmp_path: Path, command: Command) -> None:
    log = write(hostile(), tmp_path / "mail.log")
    page = tmp_path / "page.html"
    status, out, err = command(f"--html={page}", f"--files={tmp_path / 'files'}", "--caps", log)
    assert (status, err) == (0, "")
    texts = [out, *(path.read_text() for path in (tmp_path / "files").iterdir())]
    assert len(texts) == 8
    for text in texts:
        assert text.replace("\n", "").isprintable()
    html = page.read_text()
    assert html.replace("\n", "").isprintable()
    assert "<script" not in html
    assert "<b>&amp;</b>" not in html
    Parsed(html)
    status, out, _ = command("--json", log)
    assert out.isascii()
    assert any(HOSTILE_HELO in host for user in json.loads(out)["users_found"] for host in user["hosts"])


def test_the_files_serve_the_programs_they_are_for(command: Command, town_log: Path, hub: Town, tmp_path: Path) -> None:
    files = tmp_path / "files"
    assert command(f"--files={files}", town_log)[0] == 0
    denied = read_deny(str(files / "deny.toml"))
    off = {name.casefold() for name, truth in hub.users.items() if truth.verdict in ("unused", "can")}
    now = datetime.now(UTC).timestamp()
    assert denied.at(now).users == off
    assert denied.at(now).until == pytest.approx(now + 86_400, abs=600)
    assert not denied.at(now + 2 * 86_400).users
    networks = [line.split()[0] for line in (files / "fixed.cidr").read_text().splitlines() if not line.startswith("#")]
    assert len(networks) == 5
    local = read_netblocks((", ".join(networks),))
    assert local.local("86.1.1.9")
    assert not local.local("86.1.1.16")
    listed = (files / "roaming.txt").read_text().splitlines()
    assert set(listed) == {name for name, truth in hub.users.items() if truth.verdict in ("roaming", "shared")}
    # They may have been edited since.
    status, _, err = command(f"--files={files}", town_log)
    assert (status, err.count("\n")) == (1, 1)
    assert "exists already" in err


def test_a_hostile_user_is_denied_as_the_daemon_sees_them(command: Command, tmp_path: Path) -> None:
    hub = hostile()
    for number, user in enumerate(("[", "[x]", "[203.0.113.300]", "")):
        hub.person(user, "unused")
        hub.login(START + number * 60, user, f"84.0.9.{number + 1}")
    for user in hub.users:
        hub.person(user, "unused")
    hub.lines = [line for line in hub.lines if line.tag == "dovecot"]
    log = write(hub, tmp_path / "mail.log")
    found = look(load_backend(), [log])
    assert command(f"--files={tmp_path / 'files'}", log)[0] == 0
    users = read_deny(str(tmp_path / "files" / "deny.toml")).at(0).users
    # An empty name is in no deny list.
    assert users | {""} == {login.name.casefold() for login in found.logins}
    assert len(users) >= 7


def test_pseudonyms_leak_nothing(command: Command, tmp_path: Path) -> None:
    hub = town(days=6, info=True)
    town_log = write(hub, tmp_path / "mail.log")
    page = tmp_path / "page.html"
    outputs = [
        command("--pseudonyms", f"--html={page}", "--caps", town_log)[1],
        command("--pseudonyms", "--json", town_log)[1],
    ]
    outputs.append(page.read_text())
    addresses = {
        match
        for line in hub.lines
        for match in re.findall(r"\[?([0-9]+(?:\.[0-9]+){3}|2001:[0-9a-f:]+)\]?", line.message)
    }
    greetings = {match for line in hub.lines for match in re.findall(r"helo=<(.*)>$", line.message)}
    secret = {*hub.users, *addresses, *(each for each in greetings if len(each) > 6), "example.org", "2001:db8"}
    assert len(secret) > 200
    for text in outputs:
        # In a page and in JSON a name may be written with escapes.
        forms = text + json.dumps(text) + re.sub(r"&[#a-z0-9]+;", "", text)
        assert not [each for each in secret if each in forms or each.casefold() in forms]
        assert "login-" in text
    assert outputs[1] != command("--pseudonyms", "--json", town_log)[1], "each run has a key of its own"
    status, _, err = command("--pseudonyms", f"--files={tmp_path}", town_log)
    assert (status, err.count("\n")) == (2, 1)


def test_one_run_gives_one_word_for_one_login(town_log: Path) -> None:
    found = record(look(load_backend(), [town_log], pseudonyms=True))
    names = [user["name"] for user in found["users_found"]]
    assert len(names) == len(set(names))
    assert set(next(cap for cap in found["caps"] if cap["rate"] == "200/1h")["logins"]) <= set(names)


def test_logs_without_anything(command: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("")
    rubbish = tmp_path / "rubbish.log"
    rubbish.write_bytes(b"\xff\0 no log\n" * 50)
    page = tmp_path / "page.html"
    status, out, err = command(f"--html={page}", "--caps", empty, rubbish)
    assert (status, out) == (3, "No login and no relayed message was found in these logs.\n")
    assert err.startswith(f"pbs-fast report: {rubbish}: 50 of 50 lines have no timestamp; have the server log through")
    Parsed(page.read_text())
    status, out, err = command("--json", empty)
    assert (status, json.loads(out)["users"]) == (3, 0)
    assert err == "pbs-fast report: there is no line to read; name the log of your POP or IMAP server\n"


def test_a_log_of_postfix_alone(command: Command, hub: Town, tmp_path: Path) -> None:
    """It has relayed messages and no login: the figures are shown, and why there is no login."""
    log = write(hub, tmp_path / "mail.log", only=("postfix",))
    status, out, err = command(log)
    assert status == 3
    assert "messages relayed" in " ".join(out.split())
    assert "VERDICT" not in out
    assert "PLAN" not in out
    assert "no line has the tag of a known server" in err
    # A second reading would not be of the same lines.
    assert command("--since=1d", log)[::2] == (3, "pbs-fast report: no login was found; pbs-fast match LOG says why\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since=soon"], "--since=soon: not a time"),
        (["--mynetworks=10.0.0.0/99"], "10.0.0.0/99"),
        (["--core=rst"], "rst"),
        (["--grace=30x"], "--grace: must be seconds or a duration like 30m"),
        (["--threads=many"], "--threads: must be a whole number"),
        (["--html=/nowhere/x.html"], "--html=/nowhere/x.html: No such file"),
    ],
)
def test_bad_use_is_one_line(command: Command, town_log: Path, arguments: list[str], said: str) -> None:
    status, out, err = command(*arguments, town_log)
    assert status in (1, 2)
    assert err.count("\n") == 1
    assert said in err
    assert not out


def test_grace_is_a_duration(command: Command, town_log: Path) -> None:
    assert [json.loads(command("--json", f"--grace={text}", town_log)[1])["grace"] for text in ("20m", "90")] == [
        1_200,
        90,
    ]


def test_since_by_span_and_by_time(command: Command, town_log: Path, hub: Town) -> None:
    by_span = json.loads(command("--json", "--since=4d", town_log)[1])
    by_time = json.loads(
        command("--json", f"--since={datetime.fromtimestamp(START + (DAYS - 4) * DAY, UTC).isoformat()}", town_log)[1]
    )
    assert by_span["messages"] == by_time["messages"]
    assert 0 < by_span["messages"]["all"] < sum(hub.ways.values())
    # A log that ended before is not read.
    assert json.loads(command("--json", "--since=4d", "--now=2027-06-01T00:00:00Z", town_log)[1])["logs_skipped"] == 1


def test_a_quantile_is_the_least_value_that_covers_the_share() -> None:
    assert [quantile([(1, 1), (5, 2), (9, 1)], share) for share in (0.1, 0.25, 0.5, 0.75, 0.76, 1.0)] == [
        1,
        1,
        5,
        5,
        9,
        9,
    ]
    assert quantile([], 0.5) == 0


def test_the_text_says_probable_only_where_it_is(tmp_path: Path) -> None:
    certain = look(load_backend(), [write(town(3, days=4, info=True), tmp_path / "a.log")])
    probable = look(load_backend(), [write(town(3, days=4), tmp_path / "b.log")])
    assert "probable" not in as_text(certain, caps=False, files=False)
    assert "probable" in as_text(probable, caps=False, files=False)
