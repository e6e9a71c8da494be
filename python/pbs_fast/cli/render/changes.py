"""What `revoke`, `grant` and `reload` have done, as text."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pbs_fast.cli.render.layout import PLAIN, Look, paragraph, plural
from pbs_fast.cli.render.times import clock

if TYPE_CHECKING:
    from pbs_fast.control.replies import Granted, Reloaded, Revoked, Undone


def revoked(reply: Revoked, now: str, look: Look = PLAIN) -> str:
    """What was removed, until when it stays denied, and what a stolen password needs besides."""
    what, kind = reply["what"], reply["kind"]
    addresses = reply["addresses"]
    more = reply["revoked"] - len(addresses)
    shown = " ".join(addresses) + (f" and {more:,} more" if more > 0 else "")
    if kind == "ip":
        head = f"revoked {what}" if reply["revoked"] else f"{what} had no row to revoke"
    elif reply["revoked"]:
        of = "of" if kind == "user" else "in"
        head = f"revoked {plural(reply['revoked'], 'address', 'addresses')} {of} {what}: {shown}"
    else:
        head = f"{what} had no row to revoke"
    out = paragraph(head, look, indent="  ")
    out += paragraph(f"no new grant for it until {clock(reply['until'], now)}", look, indent="  ")
    if kind == "user":
        word = shlex.quote(what)
        out += f"its mail may still be queued: pbs-fast queue {word} | postsuper -h -\n"
        out += paragraph(
            f"still to do: change the password; end its sessions (Dovecot: doveadm kick {word})", look, indent="  "
        )
    return out


def undone(reply: Undone, look: Look = PLAIN) -> str:
    """Which manual denial or grant has ended."""
    what = reply["what"]
    texts = []
    if "denial" in reply["undone"]:
        texts.append(f"{what} is no longer denied; its next login counts again")
    if "grant" in reply["undone"]:
        texts.append(f"the manual grant of {what} has ended")
    return "".join(paragraph(text, look, indent="  ") for text in texts)


def granted(reply: Granted, now: str, look: Look = PLAIN) -> str:
    """Until when an address may relay."""
    text = f"{reply['ip']} may relay until {clock(reply['until'], now)} (granted by hand); guards hold for it too"
    return paragraph(text, look, indent="  ")


def reloaded(reply: Reloaded, look: Look = PLAIN) -> str:
    """The daemon's own words."""
    return "".join(paragraph(text, look, indent="  ") for text in (*reply["warnings"], reply["text"]))
