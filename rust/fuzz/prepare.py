"""Writes what the fuzz targets start from: the packaged formats with their placeholders expanded, seeds, and words.

`catalogue.txt` is read by `src/lib.rs`; `corpus/` gets the samples of all formats in all envelopes, as the targets take
their input; `words.dict` is libFuzzer's dictionary. Files that the fuzzer found itself stay.
"""

from __future__ import annotations

from pathlib import Path

from pbs_fast.formats import Format
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.formats.samples import ENVELOPES, fits, lines, load_samples

HERE = Path(__file__).parent
LISTS = (
    "program", "tls_program", "success", "login", "logout", "session_address", "session_success", "session_failure",
    "session_end", "restart", "killed", "aborted", "line_login", "line_logout", "own_prefix", "cut_prefix",
)  # fmt: skip
#: Patterns of the kinds that no packaged format has: searched in whole lines, and not one-pass.
SITE = Format(
    name="site",
    title="",
    versions="",
    program=("site", "imapd"),
    tls_program=(),
    success=("granted",),
    login=(r".*granted (?P<user>.*) from (?P<ip>[^ ]*)(?: .*)?",),
    logout=(r"(?:a|ab)*gone (?P<session>.*)",),
    line_login=(
        r"(?P<timestamp>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d) .*?(?P<ip>\d+\.\d+\.\d+\.\d+)\b",
        r"^t=(?P<timestamp>[^,]*), (?i:from) (?P<ip>\S+) id=(?P<session>\w*?)(?P<tls> tls)?$",
    ),
    line_logout=(r"t=(?P<timestamp>[^,]*), gone (?P<session>\w+)",),
)
WORDS = (
    "Message forwarded from ", "message repeated 2 times: [ ", "]", "[ID 7 mail.info] ", "<22>1 ", "<mail.info> ",
    "2026-10-25T02:30:00+01:00 ", "Oct 25 02:30:00 ", "Oct 25 02:30:00 mx ", "192.0.2.1", "2001:db8::1",
    "::ffff:192.0.2.1", "granted ", " from ", "gone ", "t=2026-10-25T02:30:00Z, ", "\n", "\r\n",
)  # fmt: skip
#: UTC second of the seeds' timestamps: in the hour that comes twice at the end of summer time, as `src/lib.rs` has it.
TIMESTAMP = 1_792_888_200
#: How many of `scan.rs`'s layouts are syslog's, before those of the formats with a log of their own.
SYSLOG_LAYOUTS = 4


def quoted(word: str) -> str:
    """A word as libFuzzer's dictionaries have it."""
    escaped = {"\n": r"\x0a", "\r": r"\x0d", '"': r"\""}
    return '"' + "".join(escaped.get(char, char) for char in word) + '"\n'


def described(fmt: Format) -> str:
    """One format as lines of key, tab, value."""
    lines = [("name", fmt.name), *((key, text) for key in LISTS for text in getattr(fmt, key))]
    if fmt.own_probe is not None:
        lines.append(("own_probe", fmt.own_probe))
    if fmt.own_in_syslog:
        lines.append(("own_in_syslog", "true"))
    lines += [(key, str(number)) for key in ("marked", "unmarked", "cut_whole") for number in getattr(fmt, key)]
    if fmt.cut:
        lines += [("cut", str(fmt.cut)), ("cut_rest", str(fmt.cut_rest))]
    return "".join(f"{key}\t{text}\n" for key, text in lines)


def main() -> None:
    """Writes all of it."""
    formats = [*load_catalogue(), SITE]
    (HERE / "catalogue.txt").write_text("".join(map(described, formats)), encoding="ascii")
    words = {*WORDS, *(f"{tag}[7]: " for fmt in formats for tag in fmt.program if not tag.startswith("*/"))}
    (HERE / "words.dict").write_text("".join(quoted(word) for word in sorted(words)), encoding="ascii")
    own = [fmt.name for fmt in formats if fmt.own_probe is not None]
    for target in ("scan", "envelope"):
        (HERE / "corpus" / target).mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(load_samples()):
        envelopes = [envelope for envelope in ENVELOPES.values() if fits(sample, envelope)]
        # Each sample in some envelopes, and all envelopes with some samples: a run has a minute.
        for turn in range(min(3, len(envelopes))):
            data = lines(sample, envelopes[(number * 3 + turn) % len(envelopes)], TIMESTAMP)
            layout = SYSLOG_LAYOUTS + own.index(sample.format) if sample.own else 0
            how = bytes([layout << 2 | number & 3, number & 0xFF])
            (HERE / "corpus" / "scan" / f"{sample}-{turn}").write_bytes(how + data)
            (HERE / "corpus" / "envelope" / f"{sample}-{turn}").write_bytes(data)


if __name__ == "__main__":
    main()
