"""What some users look at, as one HTML page that needs nothing else: no script, no link, pictures inside.

How the gallery page looks: light and dark, wide and narrow, and on paper.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from socialjax.explain.attributes import Card, Section, caption, in_pixels
from socialjax.explain.box_picture import BOXES, boxed, colour
from socialjax.explain.text import stand_in
from socialjax.visible import visible
from socialjax.whole import whole

STYLE = """
:root { --ground: #f6f7f9; --card: #fff; --text: #1d2330; --soft: #5c6675; --line: #dfe3ea; --track: #e9ecf1;
  --bar: #64748b; --mark: #1d2330; --made-text: #fff; --made: #b3261e; --real-text: #175c33; --real: #e6f5ec; }
@media (prefers-color-scheme: dark) { :root { --ground: #12151b; --card: #1c212a; --text: #e8ebf0; --soft: #a3adbb;
  --line: #303846; --track: #2b323e; --bar: #94a3b8; --mark: #fff; --made-text: #fff; --made: #b3261e;
  --real-text: #a5e6bf; --real: #173324; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px clamp(14px, 3vw, 40px) 60px; max-width: 1500px; background: var(--ground);
  color: var(--text); font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 10px; font-size: 26px; line-height: 1.2; }
h2 { margin: 0 0 14px; font-size: 19px; overflow-wrap: anywhere; }
h3, h4 { margin: 0; font-size: 15px; }
h4 { font-size: 14px; font-weight: 500; line-height: 1.35; overflow-wrap: anywhere; }
p { margin: 0; }
.kind { margin: 0 0 16px; padding: 8px 14px; border-radius: 8px; font-weight: 600; }
.tag { margin-left: 8px; padding: 2px 8px; border-radius: 5px; font-size: 12px; vertical-align: 2px; }
footer { margin-top: 34px; }
body > .made { position: sticky; top: 6px; z-index: 1; }
.made { color: var(--made-text); background: var(--made); }
.real { color: var(--real-text); background: var(--real); }
.told { margin-top: 8px; color: var(--soft); }
details { margin-top: 16px; padding: 12px 16px; border: 1px solid var(--line); border-radius: 10px;
  background: var(--card); }
summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(205px, 1fr)); gap: 14px 28px; margin: 12px 0 2px; }
dt { font-weight: 600; }
dd { margin: 2px 0 0; color: var(--soft); font-size: 14px; }
section { margin-top: 30px; padding-top: 22px; border-top: 1px solid var(--line); }
.user { display: grid; grid-template-columns: minmax(230px, 290px) 1fr; gap: 20px; align-items: start; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(200px, 100%), 1fr)); gap: 18px; }
article, .profile { padding: 14px; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.profile p, .note, .more { color: var(--soft); font-size: 12.5px; }
.profile p { margin: 2px 0 8px; }
svg { display: block; width: 100%; height: auto; max-height: 320px; overflow: visible; border-radius: 6px; }
svg rect { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.hard { image-rendering: pixelated; }
.caption { margin: 10px 0 2px; font-size: 16px; font-weight: 700; line-height: 1.3; }
.note { margin-bottom: 4px; }
.row { display: grid; grid-template-columns: 1fr auto; column-gap: 10px; row-gap: 3px; align-items: baseline;
  margin-top: 9px; }
.row .number { font-variant-numeric: tabular-nums; font-size: 14px; font-weight: 600; }
.row .bar, .row .more { grid-column: 1 / -1; }
.name { min-width: 0; overflow-wrap: anywhere; font-size: 14px; }
.bar { position: relative; height: 8px; border-radius: 4px; background: var(--track); }
.bar > span { display: block; height: 100%; border-radius: 4px; background: var(--bar); }
.bar > b { position: absolute; top: -3px; bottom: -3px; width: 2px; margin-left: -1px; background: var(--mark); }
.swatch { display: inline-block; width: 11px; height: 11px; margin-right: 7px; border: 3px solid currentColor;
  border-radius: 2px; vertical-align: -1px; }
@media (max-width: 760px) { .user { grid-template-columns: 1fr; } .kind { padding: 6px 10px; font-size: 13px; } }
@media print { body { max-width: none; } article, .profile { break-inside: avoid; } }
"""


LARGEST = 384  # pixels of a picture's longer side
DOT = "\u00a0· "  # lines break after it
SMALL = 128  # up to this width pictures are kept as they are, and shown with hard pixels

LEGEND = (
    ("attention", "how much of this user's look at this item goes to the attribute, 0 to 1. It sums to 1 over the "
     "attributes of an item. It is learned from purchases and chooses the box that is drawn thickest; it is a hint at "
     "the reason, not a proof."),
    ("affinity", "how well the attribute as it looks here fits the user's taste, 0 to 1, each attribute on its own. "
     "0.5 is neither for nor against. It is no calibrated probability of a purchase."),
    ("class", "what the attribute network takes the attribute for, such as neckline: V, and how sure it is in per "
     "cent."),
    ("box", "where the network's evidence for this class lies on the picture, found without any labelled region; the "
     "network may look elsewhere than people do. The colours are those of the bars, the three attributes with most "
     "attention have one, and none is drawn where no region stood out."),
)  # fmt: skip


def write_gallery(path: Path, title: str, sections: Sequence[Section], told: Sequence[str] = ()) -> None:
    """Writes the page, whole or not at all. title: of the page; told: lines on model and data below it.

    Every text is escaped. Raises ValueError without a section that has a card, and for a record without attributes.
    """
    page = gallery(title, sections, told)
    with whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def gallery(title: str, sections: Sequence[Section], told: Sequence[str] = ()) -> str:
    """The page as text."""
    records = [card.record for section in sections for card in section.cards]
    if not records:
        raise ValueError("wanted at least one user with one item, got none; choose users whom the model knows")
    if lacking := [record["item"] for record in records if not record.get("attributes")]:
        raise ValueError(f"items {', '.join(map(str, lacking[:5]))} have no attributes; leave them out of the page")
    warning, kind = stand_in(records[0]), records[0]["data"]
    # What is generated says so wherever one looks: people crop pages.
    made = kind.upper() if warning else ""
    tag = f' <b class="tag made">{_html(made)}</b>' if made else ""
    said = warning or f"Real data: {records[0]['data_set']}"
    banner = f'<p class="kind {"made" if warning else "real"}">{_html(said)}</p>'
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            # Nothing may be loaded from anywhere, whatever a title holds.
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">",
            f"<title>{_html(f'{made}: ' * bool(made) + title)}</title><style>{STYLE}</style></head><body>",
            banner,
            *_head(title, told),
            *(line for section in sections for line in _section(section, tag)),
            f"<footer>{banner}</footer></body></html>\n",
        )
    )


def _html(text: str) -> str:
    """Text of a page: no tags, and no control characters, which HTML does not have."""
    return escape(visible(text))


def _head(title: str, told: Sequence[str]):
    yield f"<header><h1>{_html(title)}</h1>"
    yield from (f'<p class="told">{_html(line)}</p>' for line in told)
    terms = "".join(f"<div><dt>{_html(term)}</dt><dd>{_html(means)}</dd></div>" for term, means in LEGEND)
    yield f"<details open><summary>How to read this page</summary><dl>{terms}</dl></details></header>"


def _section(section: Section, tag: str):
    of = section.profile
    items = f"{of.items} training item" + ("" if of.items == 1 else "s")
    yield f"<section><h2>User {_html(section.user)}{tag}</h2>"
    yield '<div class="user"><div class="profile">'
    yield f"<h3>What this user looks at</h3><p>mean attention over {items}; the mark is what even attention gives</p>"
    largest = max(of.like.max(), of.even.max())
    reach = next(end for end in (0.25, 0.5, 1.0) if largest <= end or end == 1.0)  # of many attributes none has much
    for each in of.as_list():
        most = f"on {each['items']} of {of.items}" + (f", most often {each['most']}" if each["most"] else "")
        yield (
            f'<div class="row"><span class="name">{_html(each["name"])}</span>'
            f'<span class="number">{each["like"]:.2f}</span>{_bar(each["like"] / reach, "", each["even"] / reach)}'
            f'<span class="more">{_html(most)}</span></div>'
        )
    yield '</div><div class="cards">'
    for card in section.cards:
        yield from _card(card)
    yield "</div></div></section>"


def _card(card: Card):
    record = card.record
    listed = record["attributes"]
    top = _swatch(0, listed[0])
    yield f'<article>{_picture(card.picture, listed)}<p class="caption">{top}{_html(caption(listed[0]))}</p>'
    note = f"{card.note}{DOT}" if card.note else ""
    title = str(record["title"])
    number = "" if title == str(record["item"]) else f"{DOT}item\u00a0{record['item']}"
    yield f'<h4>{_html(title)}</h4><p class="note">{_html(note)}score\u00a0{record["score"]:+.2f}{_html(number)}</p>'
    for rank, each in enumerate(listed):
        more = f"class\u00a0{each['class_probability']:.0%}"
        more += "" if each["affinity"] is None else f"{DOT}affinity\u00a0{each['affinity']:.2f}"
        more += f"{DOT}no region stood out" if each["box_fallback"] else ""
        name = _html(f"{each['name']}: {each['class_name']}")
        yield (
            f'<div class="row"><span class="name">{_swatch(rank, each)}{name}</span>'
            f'<span class="number">{each["like"]:.2f}</span>{_bar(each["like"], colour(rank))}'
            f'<span class="more">{more}</span></div>'
        )
    yield "</article>"


def _swatch(rank: int, attribute: dict) -> str:
    """The colour of an attribute's box; nothing where none is drawn."""
    drawn = rank < BOXES and not attribute["box_fallback"]
    return f'<i class="swatch" style="color:{colour(rank)}"></i>' if drawn else ""


def _bar(share: float, of: str, mark: float | None = None) -> str:
    """A bar of that share of its width, with a mark."""
    colour = f";background:{of}" if of else ""
    line = "" if mark is None else f'<b style="left:{100 * mark:.1f}%"></b>'
    return f'<span class="bar"><span style="width:{100 * share:.1f}%{colour}"></span>{line}</span>'


def _picture(picture: np.ndarray, listed: list[dict]) -> str:
    """The picture with its rectangles above it, in one drawing whose units are the picture's pixels."""
    height, width = picture.shape[:2]
    hard = ' class="hard"' if width <= SMALL else ""
    shapes = [f'<image href="{_encoded(picture)}" width="{width}" height="{height}" preserveAspectRatio="none"{hard}/>']
    for rank, each in reversed(boxed(in_pixels(listed, width, height))):
        x0, y0, x1, y1 = each["box"]
        place = f'x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"'
        line = 4 if rank == 0 else 2
        shapes.append(f'<rect {place} stroke="#fff" stroke-width="{line + 2}"/>')
        shapes.append(f'<rect {place} stroke="{colour(rank)}" stroke-width="{line}"/>')
    label = _html(caption(listed[0]))
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(shapes)}</svg>'


def _encoded(picture: np.ndarray) -> str:
    """A picture u8[H, W, 3] as a data URI: small ones exact, others as JPEG."""
    from PIL import Image  # Matplotlib needs it as well

    image, kept = Image.fromarray(picture), io.BytesIO()
    if picture.shape[1] <= SMALL:
        image.save(kept, "PNG")
    else:
        image.thumbnail((LARGEST, LARGEST))
        image.save(kept, "JPEG", quality=88)
    kind = "png" if picture.shape[1] <= SMALL else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(kept.getvalue()).decode()}"
