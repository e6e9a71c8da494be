"""The page's style sheet: light, dark and paper."""

from __future__ import annotations

#: Variable -> its value on a light and on a dark ground. Text has a contrast of 4.5 and more, pictures of 3 and more
#: (WCAG 2.2, 1.4.3 and 1.4.11); a test computes both.
COLOURS = {
    "ground": ("#f5f6f8", "#12161b"),
    "card": ("#ffffff", "#1a2027"),
    "text": ("#1b2430", "#e7ecf2"),
    "quiet": ("#586473", "#9aa7b5"),
    "line": ("#d9dee5", "#313a45"),
    "grant": ("#c2410c", "#f58a4b"),
    "auth": ("#1d62b0", "#6aa9f0"),
    "mynetworks": ("#0b7566", "#43bfa9"),
    "calm": ("#6b7787", "#8593a3"),
    "alarm": ("#b3123f", "#ff7d9b"),
    "link": ("#1d62b0", "#6aa9f0"),
}


def style() -> str:
    """The whole sheet."""
    light, dark = ("".join(f"--{name}:{values[ground]};" for name, values in COLOURS.items()) for ground in (0, 1))
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"{_RULES}"
        f"@media print{{:root{{color-scheme:light;{light}--ground:#fff;}}{_PAPER}}}\n"
    )


_RULES = """*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header,footer{max-width:72rem;margin:0 auto;padding:0 1rem}
header{padding-top:2.5rem}
h1{font-size:clamp(1.6rem,4.5vw,2.4rem);line-height:1.15;margin:0 0 .4rem;letter-spacing:-.02em}
h2{font-size:1.15rem;margin:0 0 .25rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.25rem 0 .75rem;max-width:65ch}
.quiet,figcaption,header p{color:var(--quiet)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,13rem),1fr));gap:1rem;margin:1.5rem 0;
padding:0;list-style:none}
.tiles li,section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1rem 1.25rem}
.tiles b{display:block;font-size:1.9rem;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums;
letter-spacing:-.02em}
.tiles .grant b{color:var(--grant)}
.tiles span{color:var(--quiet);font-size:.92rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem;margin:0 0 1rem}
section{margin:0 0 1rem;min-width:0}
.grid section{margin:0}
figure{margin:.5rem 0 0}
figcaption{font-size:.92rem;margin-top:.5rem}
svg{display:block;width:100%;height:auto;max-width:36rem;font-size:12.5px;fill:var(--text);overflow:visible}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg .strong{font-weight:600}
svg .quiet{fill:var(--quiet);font-size:11.5px}
svg .number{font-variant-numeric:tabular-nums;fill:var(--quiet)}
svg .grant{fill:var(--grant)}svg .auth{fill:var(--auth)}svg .mynetworks{fill:var(--mynetworks)}
svg .calm{fill:var(--calm)}svg .alarm{fill:var(--alarm)}
svg line{stroke-width:1}
svg .grid{stroke:var(--line)}svg .axis{stroke:var(--quiet)}
svg .mark{stroke:var(--alarm);stroke-width:1.5;stroke-dasharray:4 3}
svg .marked{fill:var(--alarm);font-weight:600;font-size:11.5px}
svg .area{fill:var(--grant);opacity:.14}
svg .curve{fill:none;stroke:var(--grant);stroke-width:2;stroke-linejoin:round}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);padding:.2rem 0 .4rem}
th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}
tbody th{font-weight:400;overflow-wrap:anywhere;min-width:9rem}
thead th{color:var(--quiet);font-size:.85rem}
td.n,th.n{text-align:right}
tr:last-child td,tr:last-child th{border-bottom:0}
.verdict{display:inline-block;font-weight:600}
.verdict.suspect{color:var(--alarm)}
details{margin-top:.75rem}
summary{cursor:pointer;color:var(--link);font-size:.92rem;width:fit-content}
summary:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:4px}
table.short{max-width:34rem}
ol.plan{padding-left:1.3rem;margin:.25rem 0}
ol.plan li{margin:.35rem 0;max-width:65ch}
footer{color:var(--quiet);font-size:.85rem;padding-top:.5rem;padding-bottom:2.5rem}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,monospace}
@media (max-width:30rem){.tiles{grid-template-columns:1fr 1fr;gap:.6rem}.tiles li{padding:.8rem .9rem}
.tiles b{font-size:1.45rem}section{padding:.9rem}main,header,footer{padding-left:.7rem;padding-right:.7rem}
svg{font-size:14px}svg .quiet,svg .marked{font-size:12.5px}}
"""

_PAPER = (
    "body{font-size:10pt}main,header,footer{max-width:none;padding:0}header{padding-top:0}"
    "section,.tiles li{break-inside:avoid;border-radius:0}section.long{break-inside:auto}"
    ".grid{display:block}.grid section{margin:0 0 1rem}.tiles{grid-template-columns:repeat(4,1fr)}"
    "table{font-size:8.5pt}th,td{padding:.12rem .6rem .12rem 0}.wide{overflow:visible}svg{max-width:26rem}"
    "section,tr,figure{break-inside:avoid}section:has(details),section.long{break-inside:auto}"
    "details::details-content{content-visibility:visible;display:block}summary{display:none}"
    "svg{-webkit-print-color-adjust:exact;print-color-adjust:exact}"
)
