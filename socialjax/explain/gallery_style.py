"""How the gallery page looks: light and dark, wide and narrow, and on paper."""

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
