"""Month names of other languages than English, as `journalctl` and strftime(3) write them with a locale.

The names are those of glibc's locales (abmon and ab_alt_mon in localedata/locales), of European languages. A name that
means different months in two languages (`lip`, `lis`, `srp`, `Kas`) is left out: to read it wrongly would give
an old login a new date.
"""

# ruff: noqa: RUF001 - letters of other scripts are the point

from __future__ import annotations

from typing import Final

_ENGLISH: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMES: Final = (
    "Jän Oca Xan ene gen gen. ian jaan jan jan. janv. led saus. sij sty tammi urt Ιαν січ янв яну јан",
    "feb feb. febr febr. fev fév févr. helmi lut ots vas. veebr velj úno Şub Φεβ лют феб фев",
    "Mär bře kov. maalis mar mars març mrt márc märts ožu Μάρ Μαρ бер мар",
    "Abr Nis abr abr. api apr april avr avril bal. dub d’abr. huhti kwi tra ápr Απρ апр кві",
    "Mai geg. kvě mag mai maig maj may maí mei máj svi touko Μάι Μαΐ май мая мај тра",
    "Haz Xuñ birž. cze eka giu iun juin jun juni juny juuni jún jūn kesä čen Ιουν Ιούν июн чер юни јун",
    "Tem Xul heinä iul jui juil. jul jul. juli juuli júl jūl liep. lug uzt čec Ιουλ Ιούλ июл лип юли јул",
    "Ago Ağu abu ag. ago aoû août aug aug. avg d’ag. elo kol rugp. sie ágú Αυγ Αύγ авг сер",
    "Eyl Set ira rugs. sep sep. sept sept. set set. syys szept wrz zář Σεπ вер сен сеп",
    "Eki Okt Out d’oct. loka oct oct. okt okt. ott out paź spal. urr říj Οκτ жов окт",
    "aza lapkr. marras nov nov. nóv stu Νοέ Νοε лис нов ное ноя",
    "Ara Dez abe dec des des. dets dez dic déc déc. gru gruod. joulu pro Δεκ гру дек дец",
)


def _table() -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for english, names in zip(_ENGLISH, _NAMES, strict=True):
        for name in names.split():
            found[name.encode()] = english.encode()
            # Old machines have locales of one byte a character.
            found[name.encode("latin-1", "ignore") if name.isascii() else name.encode("latin-1", "replace")] = (
                english.encode()
            )
    return {name: english for name, english in found.items() if b"?" not in name}


MONTHS: Final = _table()
"""Name, in UTF-8 and in Latin-1 -> the English abbreviation."""
