"""What `import-config` makes of a configuration, loaded and run as the daemon would."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mta import require_perl
from pbs_fast.config import Settings, load, merge
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.legacy.convert import Conversion, convert
from pbs_fast.legacy.evaluate import Old, evaluate
from pbs_fast.legacy.patterns import Recognizer
from pbs_fast.matching import Matcher, load_backend
from pbs_fast.matching.reader import Reader
from pbs_fast.matching.rewrite import read_logtime
from pbs_fast.matching.rewrite.logtime import LogTime
from pbs_fast.matching.site import Site, site_formats

CORE = load_backend(None)
RECOGNIZER = Recognizer(CORE, load_catalogue())
LOGTIME = r"(\w\w\w +\d+ \d+:\d+:\d+)"
#: One place for all, because what is written names the file.
_PLACE = TemporaryDirectory()
#: 2026-03-05.
REFERENCE = 1_772_668_800


@cache
def _converted(text: str) -> tuple[Old, Conversion]:
    """Several tests look at the same texts, and each run of perl takes a tenth of a second."""
    require_perl()
    file = Path(_PLACE.name, "pop-before-smtp.conf")
    file.write_text(text)
    old = evaluate(str(file))
    return old, convert(old, RECOGNIZER)


@dataclass
class Imported:
    """One configuration on its whole way."""

    old: Old
    conversion: Conversion
    settings: Settings
    site: Site
    matcher: Matcher

    @property
    def notes(self) -> str:
        return "\n".join(self.conversion.notes)

    @property
    def own(self) -> list[str]:
        """Names of the formats that are not the catalogue's."""
        return [str(each.keys["name"]) for each in self.settings.config.format]

    def events(self, text: str) -> list[tuple[str, str | None, str]]:
        """(kind, address, format) of what the imported configuration sees in some lines."""
        data = text.encode() + b"\n"
        reader = Reader(CORE, self.matcher, source="", gap=0, live=False, fold=False, logtime=self.logtime)
        found = reader.events(data, 0, len(data), offset=0, reference=REFERENCE)
        return [(each.kind, each.ip, each.format) for each in found if each.kind != "missed"]

    @property
    def logtime(self) -> LogTime | None:
        given = self.settings.config.logtime
        return read_logtime(given) if given is not None else None

    def pattern(self, name: str) -> str:
        """A pattern as the old daemon used it."""
        value = self.old.values[name]
        text = str(value["regexp"] if isinstance(value, dict) else value)
        return text.replace("[LOGTIME]", str(self.old.values.get("logtime_pat", LOGTIME)))


def imported(text: str, place: Path) -> Imported:
    """The configuration `text` on its whole way; skips where there is no perl."""
    old, conversion = _converted(text)
    toml = place / "pbs-fast.toml"
    toml.write_text(conversion.toml)
    settings = merge(load(str(toml)), ())
    site = site_formats(settings)
    return Imported(old, conversion, settings, site, CORE.Matcher(site.formats, [(-(1 << 60), 0)]))
