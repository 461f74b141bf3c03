"""How the page of a report looks: light or dark as the reader's system is, one column on a phone."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --paper: #f6f7f9; --card: #fff; --rule: #dde2e8;
  --blue: #2f62b5; --pale: #c9d9f3; --red: #b3261e; --red-pale: #fdeceb; --green: #1c7c4c; --green-pale: #e8f5ee; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaef; --soft: #a3aebb; --paper: #14181d; --card: #1d232a;
  --rule: #343d47; --blue: #7aa7f0; --pale: #2d446b; --red: #ff9a92; --red-pale: #3a1e1d; --green: #7fd6a6;
  --green-pale: #183226; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 16px; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; padding-bottom: 4px; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 28px 0 6px; }
h1, h2, h3, p, li, figcaption, .name, .facts td { overflow-wrap: anywhere; }
p { margin: 4px 0 8px; color: var(--soft); }
ul { padding-left: 1.2em; margin: 4px 0; }
li { color: var(--soft); }
.verdict { border-radius: 8px; border-left: 5px solid; padding: 10px 14px; margin: 0 0 12px; }
.verdict p, .verdict li { color: inherit; margin: 2px 0; }
.good { background: var(--green-pale); border-color: var(--green); }
.verdict.bad { background: var(--red-pale); border-color: var(--red); }
.verdict b, td.bad, p.bad { color: var(--red); font-weight: 700; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  margin: 8px 0 10px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
thead th { font-weight: 600; color: var(--soft); vertical-align: bottom; white-space: normal; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); min-width: 9em;
  max-width: 16em; white-space: normal; overflow-wrap: break-word; border-right: 1px solid var(--rule); }
td small { display: block; font-size: 12px; line-height: 18px; color: var(--soft); }
.doubtful { background: var(--red-pale); } .doubtful th:first-child { background: var(--red-pale); }
.facts td, .facts thead th { text-align: left; white-space: normal; }
.facts { margin-bottom: 18px; }
.chart, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; margin: 8px 0;
  padding: 10px 26px 8px 14px; }
.line { margin-bottom: 10px; }
.name { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 16px; font-size: .875rem; }
.name span:last-child { color: var(--soft); }
svg { display: block; width: 100%; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); }
.axis { stroke: var(--soft); } .grid { stroke: var(--rule); }
.box { fill: var(--pale); } .median { stroke: var(--ink); stroke-width: 2; }
.dot { fill: var(--blue); fill-opacity: .6; }
.front { stroke: var(--blue); stroke-width: 1.5; stroke-dasharray: 4 3; }
.best { fill: var(--blue); } .beaten { fill: var(--card); stroke: var(--blue); stroke-width: 1.5; }
svg .label { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.plot { padding: 6px 0 0 40px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 12px; }
.plots figure, .pictures figure { margin: 0; min-width: 0; }
figcaption { font-size: .875rem; color: var(--soft); margin-bottom: 6px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(220px, 45%), 1fr)); gap: 12px; }
.pictures figure { padding: 8px; }
.pictures figcaption { margin: 6px 0 0; }
img { display: block; width: 100%; height: auto; border-radius: 4px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; padding: 0; font-size: .875rem; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; vertical-align: -1px; }
.part0 { fill: #94a3b3; background: #94a3b3; } .part1 { fill: #2a9d8f; background: #2a9d8f; }
.part2 { fill: #9b72cf; background: #9b72cf; } .part3 { fill: #e3b23c; background: #e3b23c; }
.part4 { fill: #3f74c9; background: #3f74c9; } .part5 { fill: #e07a5f; background: #e07a5f; }
.part6 { fill: #6b5b4d; background: #6b5b4d; } .part7 { fill: #c9577a; background: #c9577a; }
@media (max-width: 600px) { main { padding: 14px 12px 32px; } h1 { font-size: 1.25rem; }
  th, td { padding: 5px 8px; } th:first-child { min-width: 8.4em; max-width: 9.4em; } .chart { padding-right: 22px; } }
@media print { body { background: #fff; } .scroll { overflow: visible; } }
"""
