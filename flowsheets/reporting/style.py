"""How does a report look? One style for screens, light and dark, and for paper; nothing is said by colour alone."""

CSS = """
:root {
  color-scheme: light dark;
  --line: color-mix(in srgb, CanvasText 28%, Canvas);
  --quiet: color-mix(in srgb, CanvasText 72%, Canvas);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 60rem; padding: 2.5rem 1.5rem 5rem; background: Canvas; color: CanvasText;
  font: 1rem/1.5 "Source Sans 3", "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif;
  counter-reset: section figure;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 {
  font-size: 1.35rem; margin: 2.8rem 0 .8rem; padding-bottom: .25rem; border-bottom: 1.5px solid currentColor;
  counter-increment: section;
}
h2::before { content: counter(section) "\\2002"; font-weight: 400; }
h3 { font-size: 1.12rem; margin: 1.8rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .5rem 0 .8rem; max-width: 48rem; }
sup { line-height: 0; font-size: .75em; }
.quiet, .more, .tag, .subtitle, footer { color: var(--quiet); }
.quiet, .more { font-size: .92rem; }
.subtitle { margin: 0 0 1.2rem; }
.status { border: 1.5px solid currentColor; border-left-width: .6rem; padding: .7rem 1rem; margin: 1rem 0; }
.status.fails { border-style: dashed; border-left-style: solid; }
.status p { margin: .15rem 0; max-width: none; }
.status p:first-child { font-size: 1.06rem; }
nav ol { columns: 2; margin: 1.2rem 0; padding-left: 1.6rem; font-size: .92rem; }
nav a { color: inherit; text-decoration-color: var(--line); text-underline-offset: .2em; }
.wide { overflow-x: auto; margin: .6rem 0 1.3rem; }
table {
  border-collapse: collapse; font-size: .875rem; line-height: 1.35; min-width: 42%;
  font-variant-numeric: tabular-nums;
}
caption { text-align: left; padding: .2rem 0 .4rem; font-weight: 600; }
th, td { padding: .28rem 1.1rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead > tr > * { border-bottom: 1.5px solid currentColor; vertical-align: bottom; font-weight: 600; }
tbody th { font-weight: 400; }
tbody tr:last-child > * { border-bottom: 1.5px solid CanvasText; }
table.pairs tr:first-child > * { border-top: 1.5px solid CanvasText; }
table.pairs th { color: var(--quiet); min-width: 11rem; }
.number { text-align: right; white-space: nowrap; }
td:last-child, thead th:last-child { padding-right: 0; }
td, th { overflow-wrap: break-word; }
td code, th code { white-space: nowrap; }
table.hashes td { overflow-wrap: anywhere; font: .76rem ui-monospace, "DejaVu Sans Mono", monospace; }
code { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "Libertinus Math", math; font-size: 1.12em; }
.equation {
  display: grid; grid-template-columns: 1fr auto; align-items: center; gap: 1rem; margin: .55rem 0;
  padding-left: 1.5rem; overflow-x: auto;
}
.equation math { text-align: left; margin: 0; width: max-content; }
.equation mtd { text-align: left; padding: .15em; }
.equation mtd:first-child { text-align: right; }
.tag { font-size: .9rem; text-align: right; }
.more { padding-left: 1.5rem; }
.equation + .quiet { margin-top: 1rem; }
figure { margin: 1.2rem 0 1.8rem; break-inside: avoid; counter-increment: figure; }
figure img {
  display: block; max-width: 100%; height: auto; background: #fff; padding: .4rem; border: 1px solid var(--line);
}
figcaption { font-size: .9rem; margin-top: .4rem; }
figcaption::before { content: "Figure " counter(figure) "\\2002"; font-weight: 600; }
footer { margin-top: 3rem; padding-top: .6rem; border-top: 1px solid var(--line); font-size: .85rem; }
@page {
  size: A4; margin: 18mm 17mm 20mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; }
}
@media print {
  :root { color-scheme: light; --line: #999; --quiet: #333; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h1 { font-size: 18pt; } h2 { font-size: 13pt; margin-top: 18pt; } h3 { font-size: 11pt; } h4 { font-size: 10pt; }
  h2, h3, h4, caption, .lead { break-after: avoid; }
  tr, .status, .equation, table.short { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide, .equation { overflow: visible; }
  table { font-size: 8.5pt; }
  th, td { padding-right: .8rem; }
  table.hashes td { font-size: 7pt; }
  p, .more, .quiet { font-size: inherit; max-width: none; }
  figure img { max-height: 215mm; border: 0; padding: 0; }
  nav a { text-decoration: none; }
}
"""
