"""The report's page: one HTML file with everything in it, for wide and narrow, light and dark screens. Nothing is fetched."""

import base64
import html

STYLE = """
:root { color-scheme: light dark; --ground: #f7f7f5; --card: #fff; --text: #1c1e21; --soft: #62666d; --line: #e2e3e0;
  --accepted: #2f6db3; --rejected: #c98a1b; --failed: #c0392b; --faint: #e9ebee; }
@media (prefers-color-scheme: dark) { :root { --ground: #14161a; --card: #1d2026; --text: #e8e9eb; --soft: #9a9fa8; --line: #30343c;
  --accepted: #6aa5e8; --rejected: #e0ab4c; --failed: #ea7263; --faint: #2a2e36; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
p { margin: 0 0 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.2rem; margin-top: 1rem; }
.soft, figcaption, .note { color: var(--soft); font-size: .88rem; }
.note { margin-top: -.4rem; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.key { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 1rem 0 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .8rem; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: 0; font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles small { display: block; color: var(--soft); font-size: .8rem; }
.bars { display: grid; grid-template-columns: max-content minmax(4rem, 1fr) max-content; gap: .3rem .8rem; align-items: center; }
.bars .label { max-width: 16rem; overflow-wrap: anywhere; }
.bars .detail { grid-column: 2 / -1; color: var(--soft); font-size: .88rem; margin: -.15rem 0 .3rem; overflow-wrap: anywhere; }
.track { display: flex; height: 1.05rem; background: var(--faint); border-radius: .2rem; overflow: hidden; }
.track i, .swatch { display: block; background: var(--accepted); }
.track .rejected, .swatch.rejected { background: var(--rejected); }
.track .failed, .swatch.failed { background: var(--failed); }
.swatch { display: inline-block; width: .7em; height: .7em; border-radius: .15em; margin-right: .15em; }
.shape { display: inline-block; border: 1.5px solid var(--accepted); border-radius: 1px; vertical-align: middle; margin-right: .5rem; }
.shapebox { display: inline-flex; width: 2.6rem; justify-content: center; }
.chart { display: grid; grid-template-columns: max-content 1fr; gap: 0 .5rem; font-size: .8rem; color: var(--soft); }
.plot { position: relative; height: 14rem; border-bottom: 1px solid var(--soft); }
.plot.low { height: 9rem; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .raw { stroke: var(--accepted); stroke-width: 1; opacity: .35; }
.plot .mean { stroke: var(--accepted); stroke-width: 2; }
.plot .other { stroke: var(--rejected); stroke-width: 2; }
.plot .columns { position: absolute; inset: 0; display: flex; align-items: flex-end; gap: 1px; }
.plot .columns i { flex: 1; background: var(--accepted); min-height: 0; }
.plot .stacked { gap: 0; }
.plot .stacked span { flex: 1; display: flex; flex-direction: column; justify-content: flex-end; height: 100%; padding-right: 1px; }
.plot .stacked i { flex: none; } .plot .stacked .rejected { background: var(--rejected); }
.plot .mark { position: absolute; top: -.3rem; bottom: 0; border-left: 2px dashed var(--failed); }
.score-charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.4rem 1.6rem; }
.ticks-y { position: relative; text-align: right; }
.ticks-y span { position: absolute; right: 0; transform: translateY(50%); }
.ticks-y b { visibility: hidden; font-weight: inherit; }
.ticks-x { grid-column: 2; position: relative; height: 1.5rem; }
.ticks-x span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.ticks-x .first { transform: none; }
.ticks-x .last { transform: translateX(-100%); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.1rem; }
.pictures.single { grid-template-columns: repeat(auto-fill, minmax(min(46%, 11rem), 1fr)); }
figure { margin: 0; min-width: 0; }
figure img { width: 100%; height: auto; display: block; border-radius: .3rem; background: var(--faint); }
figure.wrong img { outline: 3px solid var(--failed); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem; align-items: start; }
figcaption { margin-top: .3rem; overflow-wrap: anywhere; }
figcaption bdi, figcaption span { display: block; }
figcaption bdi { color: var(--text); }
.blank { display: grid; place-items: center; min-height: 5rem; background: var(--faint); border-radius: .3rem; color: var(--soft);
  font-size: .85rem; padding: .3rem; text-align: center; }
dl.about { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; font-size: .88rem; }
dl.about dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  main { padding: 1rem .7rem 3rem; } section { padding: .9rem; } .pictures { gap: .9rem; }
  .bars { gap: .3rem .5rem; } .bars .label { max-width: 9.5rem; font-size: .9rem; }
  dl.about { grid-template-columns: 1fr; } dl.about dd { margin-bottom: .4rem; } }
"""


def page(title: str, sections: list[str]) -> bytes:
    """The whole file. Empty sections are left out; text in them is escaped already."""
    body = "\n".join(section for section in sections if section)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n'.encode(
            "utf-8", "backslashreplace"
        )
    )


def section(title: str, body: str, note: str = "") -> str:
    """A titled card.

    Args:
        body: HTML; without any there is no section.
        note: HTML, a line below the title.
    """
    if not body:
        return ""
    return f"<section><h2>{text(title)}</h2>" + (f'<p class="note">{note}</p>' if note else "") + f"{body}</section>"


def text(value: object) -> str:
    """Anything as text that HTML takes literally."""
    return html.escape(str(value), quote=True)


def image(data: bytes, kind: str, alt: str, size: tuple[int, int]) -> str:
    """A picture inside the page.

    Args:
        data: Encoded.
        kind: "jpeg" or "png".
        size: Width and height in pixels, so that the page does not jump.
    """
    encoded = base64.b64encode(data).decode()
    return f'<img src="data:image/{kind};base64,{encoded}" alt="{text(alt)}" width="{size[0]}" height="{size[1]}">'
