"""The line of each key of a TOML document, held against tomllib's own reading of it."""

from __future__ import annotations

import tomllib
from textwrap import dedent

from hypothesis import event, given
from hypothesis import strategies as st

from pbs_fast.util.toml_lines import Path, lines
from support.examples import examples


def paths(value: object, path: Path = ()) -> set[Path]:
    """Every way to a value that tomllib found."""
    result = {path} if path else set()
    if isinstance(value, dict):
        for name, inner in value.items():
            result |= paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            result |= paths(inner, (*path, index))
    return result


def test_each_key_has_its_line() -> None:
    text = dedent("""\
        # a comment with = and [brackets]
        grace = 60 # [not.a.table]

        watchlog = [
          "/a", # one
          "/b=]",
        ]
        text = \"\"\"
        [no.table]
        key = 1 \\\"\"\" still\"\"\"\"\"
        'quoted key'."with \\u0041 dot.".bare = { a = 1, b = [2, {c = ''}] }
        when = 1979-05-27 07:32:00
        [guards]
        max_rows=3
        [formats.dovecot]
          program = ['''x''']
        [[format]]
        name = "one"
        [[format]]
        name = "two"
        [format.own_log]
        probe = 'p'
    """)
    assert lines(text) == {
        ("grace",): 2,
        ("watchlog",): 4,
        ("watchlog", 0): 5,
        ("watchlog", 1): 6,
        ("text",): 8,
        ("quoted key",): 11,
        ("quoted key", "with A dot."): 11,
        ("quoted key", "with A dot.", "bare"): 11,
        ("quoted key", "with A dot.", "bare", "a"): 11,
        ("quoted key", "with A dot.", "bare", "b"): 11,
        ("quoted key", "with A dot.", "bare", "b", 0): 11,
        ("quoted key", "with A dot.", "bare", "b", 1): 11,
        ("quoted key", "with A dot.", "bare", "b", 1, "c"): 11,
        ("when",): 12,
        ("guards",): 13,
        ("guards", "max_rows"): 14,
        ("formats",): 15,
        ("formats", "dovecot"): 15,
        ("formats", "dovecot", "program"): 16,
        ("formats", "dovecot", "program", 0): 16,
        ("format",): 17,
        ("format", 0): 17,
        ("format", 0, "name"): 18,
        ("format", 1): 19,
        ("format", 1, "name"): 20,
        ("format", 1, "own_log"): 21,
        ("format", 1, "own_log", "probe"): 22,
    }
    assert set(lines(text)) == paths(tomllib.loads(text))


KEYS = st.sampled_from(["a", "b-c", "'d.e'", '"f\\"]"', "1"])
VOIDS = st.sampled_from(["", " ", "\n", '\n# ] } = "\n', "\r\n\t"])
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "true",
        '"x # ]"',
        '"\\\\"',
        "'\\'",
        "''",
        '""',
        '"""\n[a]\nb = "1"\\"""""',
        "'''\n''#'''",
        "07:32:00",
    ]
)


def values(depth: int = 2) -> st.SearchStrategy[str]:
    if not depth:
        return SCALARS
    inner = values(depth - 1)
    array = st.lists(st.tuples(VOIDS, inner, VOIDS).map("".join), max_size=3).map(lambda all_: f"[{','.join(all_)}]")
    pairs = st.dictionaries(KEYS, inner, max_size=3).map(
        lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
    )
    return SCALARS | array | pairs


ASSIGNMENTS = st.builds(
    lambda key, value: f"{key} = {value}", st.lists(KEYS, min_size=1, max_size=2).map(".".join), values()
)
HEADERS = st.builds(
    lambda keys, double: f"[[{keys}]]" if double else f"[ {keys} ]",
    st.lists(KEYS, min_size=1, max_size=3).map(" . ".join),
    st.booleans(),
)
DOCUMENTS = st.lists(ASSIGNMENTS | HEADERS | VOIDS, max_size=8).map("\n".join)


def test_the_keys_found_are_those_that_tomllib_finds() -> None:
    seen = {"all": 0, "with keys": 0}

    @examples(400)
    @given(DOCUMENTS)
    def check(text: str) -> None:
        seen["all"] += 1
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return
        found = lines(text)
        assert set(found) == paths(document)
        assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
        seen["with keys"] += len(found) > 2
        event("more than two keys" if len(found) > 2 else "few keys")

    check()
    assert seen["with keys"] >= 0.3 * seen["all"], seen
