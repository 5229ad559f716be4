// Of `uncertain report`: draws the charts in the reader's light or dark, and sorts the table.
const dark = matchMedia("(prefers-color-scheme: dark)");
const specs = JSON.parse(document.getElementById("specs").textContent);
const LETTER = 7; // pixels

// series, rows: letters of the longest name in the legend, and of the longest label of a row.
function config(width, { series, rows }) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = colour("--ink"), faint = colour("--faint"), line = colour("--line");
  const font = getComputedStyle(document.body).fontFamily;
  const limit = Math.max(90, width * 0.42);
  const room = width - Math.max(50, Math.min(limit, rows * LETTER)) - 40;
  return {
    background: "transparent", font,
    view: { stroke: line },
    axis: {
      labelColor: ink, titleColor: faint, gridColor: line, domainColor: line, tickColor: line,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
    },
    axisX: { titleAnchor: "end" }, // a title may be longer than a narrow chart
    axisY: { labelLimit: limit },
    legend: {
      orient: "bottom", direction: "horizontal", labelColor: ink, labelFontSize: 12,
      titleColor: faint, titleOrient: "left", titleFontWeight: "normal", titleFontSize: 12,
      labelLimit: room,
      columns: Math.max(1, Math.floor(room / (series * LETTER + 30))),
    },
  };
}

let round = 0;
async function draw() {
  const mine = ++round;
  let drawn = 0;
  for (const [place, chart] of Object.entries(specs)) {
    const box = document.getElementById(place);
    await vegaEmbed(box, chart.spec, {
      renderer: "svg",
      config: config(box.clientWidth, chart),
      tooltip: { theme: dark.matches ? "dark" : "light" },
      actions: { export: true, source: false, compiled: false, editor: false },
    });
    if (mine !== round) return; // the reader has changed to light or dark meanwhile
    document.body.dataset.drawn = String(++drawn);
    await new Promise((next) => setTimeout(next)); // lets the page show what there is
  }
}
dark.addEventListener("change", draw);
// A chart fits itself to a new width, its legend does not: it is drawn again.
let across = innerWidth, pause;
addEventListener("resize", () => {
  if (innerWidth === across) return; // a phone's address bar changes the height alone
  across = innerWidth;
  clearTimeout(pause);
  pause = setTimeout(draw, 150);
});
draw();

for (const head of document.querySelectorAll("th[data-column]")) {
  head.querySelector("button").addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.cells[head.cellIndex].dataset.by;
    const numeric = head.dataset.column === "number";
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      // What is missing is last either way.
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      const order = numeric ? x - y : x < y ? -1 : x > y ? 1 : 0;
      return descending ? -order : order;
    });
    body.append(...rows);
  });
}
