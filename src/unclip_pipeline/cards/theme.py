"""The look of every page: one column, quiet colours, figures that line up, dark and light."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2228; --quiet: #66707b; --paper: #fbfaf8; --card: #fff;
  --line: #e4e1dc; --s0: #2b6cb0; --s1: #c2571a; --s2: #2f8558; --s3: #8a4fb0; --good: #2f8558; --bad:
  #b3372f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e3de; --quiet: #99a1aa; --paper: #16181b; --card:
  #1e2125; --line: #33373c; --s0: #6aa9e9; --s1: #ec9560; --s2: #6fc393; --s3: #c193e2; --good: #6fc393;
  --bad: #ef857d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI",
  sans-serif; font-variant-numeric: tabular-nums; }
main, header { max-width: 74rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.6rem; }
header > p { margin-top: .7rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; letter-spacing: -.02em; font-weight: 650; }
h2 { font-size: 1.3rem; letter-spacing: -.01em; margin: 0 0 .3rem; font-weight: 650; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; font-weight: 600; }
section { margin: 3.2rem 0 0; }
p { max-width: 46rem; margin: .3rem 0 1rem; }
.quiet, section > p { color: var(--quiet); }
section > p { margin-bottom: 1.2rem; }
code { font: .85em ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
a { color: var(--s0); }
.origin { max-width: none; display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; margin: .7rem 0 0; color:
  var(--quiet); font-size: .9rem; }
.origin b { font-weight: 500; color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: .8rem; margin:
  1.6rem 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem
  .7rem; }
.tile .name { font-size: .82rem; color: var(--quiet); }
.tile .value { font-size: 1.7rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.3; }
.tile .beside { font-size: .8rem; color: var(--quiet); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 1.1rem .9rem; }
figure { margin: .8rem 0; }
.grid figure, .row figure { margin: 0; }
.grid + p { margin-top: 1rem; }
figcaption { font-size: .78rem; line-height: 1.3; color: var(--quiet); margin-top: .3rem; }
.grid img { width: 100%; }
.grid.small { grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: .9rem .7rem; }
.grid.small.pairs { grid-template-columns: repeat(auto-fill, minmax(196px, 1fr)); }
.grid.small img { width: auto; max-width: 96px; display: inline-block; vertical-align: bottom; }
.grid.small img + img { margin-left: 4px; }
.grid.small figcaption { overflow-wrap: anywhere; }
img { image-rendering: pixelated; border-radius: 6px; display: block; background: var(--line); }
img.plot { image-rendering: auto; background: #fff; padding: 4px; max-width: 100%; height: auto; }
.rows { display: grid; gap: .9rem; margin-top: 1.2rem; }
.row { display: grid; grid-template-columns: minmax(9rem, 16rem) repeat(var(--columns, 4), 128px); gap:
  .8rem; align-items: center; }
.row img { width: 128px; }
.row .prompt { font-size: .9rem; }
.row.head { font-size: .82rem; color: var(--quiet); align-items: end; }
.scroll { overflow-x: auto; }
.scroll + .scroll, .scroll + figure { margin-top: 1.6rem; }
table { border-collapse: collapse; font-size: .9rem; min-width: 20rem; }
th, td { padding: .32rem .9rem .32rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: baseline; }
th { font-weight: 500; color: var(--quiet); font-size: .82rem; }
td.n, th.n { text-align: right; white-space: nowrap; }
td:not(.n) { min-width: min(9rem, max-content); max-width: 30rem; overflow-wrap: anywhere; }
td .interval { display: block; color: var(--quiet); font-size: .76rem; }
tr.stage td { padding-top: .9rem; font-weight: 600; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1.4rem; }
.curves h3 { margin: 0 0 .2rem; }
.chart { width: 100%; height: auto; }
.chart text { font-size: 10px; fill: var(--quiet); }
.chart .grid { stroke: var(--line); }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.line.raw { opacity: .35; stroke-width: 1; }
.line.s0 { stroke: var(--s0); }
.line.s1 { stroke: var(--s1); }
.line.s2 { stroke: var(--s2); }
.line.s3 { stroke: var(--s3); }
.legend { font-size: .8rem; color: var(--quiet); display: flex; flex-wrap: wrap; gap: 0 1rem; }
.key::before { content: ""; display: inline-block; width: .9rem; height: 3px; border-radius: 2px;
  margin-right: .35rem; vertical-align: middle; background: currentColor; }
.key.s0::before { color: var(--s0); }
.key.s1::before { color: var(--s1); }
.key.s2::before { color: var(--s2); }
.key.s3::before { color: var(--s3); }
.dots { vertical-align: middle; }
.dots .axis { stroke: var(--line); stroke-width: 2; }
.dots .interval { stroke: var(--s0); stroke-width: 3; opacity: .55; }
.dots .dot { fill: var(--s0); }
.dots .reference { stroke: var(--s1); stroke-width: 2; }
.bar { display: inline-block; width: 24rem; max-width: 40vw; height: .6rem; background: var(--line);
  border-radius: 3px; overflow: hidden; }
.bar span { display: block; height: 100%; background: var(--bad); }
.bar.kept span { background: var(--good); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.note { border-left: 3px solid var(--s1); padding: .1rem 0 .1rem .9rem; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; font: .82rem/1.5 ui-monospace, Consolas, monospace; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .4rem 1.4rem
  1.2rem; }
.card h1, .card h2, .card h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
.card h1 { font-size: 1.15rem; }
.card table { margin: 0 0 1rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
footer { margin: 4rem 0 3rem; color: var(--quiet); font-size: .85rem; }
"""
