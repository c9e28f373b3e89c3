// A chart on the page: its title, its sentence, the drawing, the table behind it, and copies.

import { asCsv, asJson, asSvg, copyPng, tools } from "./copying.js";
import { button, el, unique } from "./dom.js";
import { draw } from "./drawing.js";
import { written } from "./numbers.js";
import { table } from "./table.js";

const NEAR = 28; // pixels within which a mark is pointed at
const UNSEEN = 860; // pixels of width of a chart that was never on the screen

/**
 * A chart that redraws itself. `spec`: id, title, conclusion, x and y (title, unit, scale, format),
 * series (mark, x, y, low, high, label, group, names). Returns its element and `update(spec)`.
 */
export function chart(first) {
  let spec = first, places = [], drawing = null, shown = null;
  const heading = unique("chart");
  const title = el("h3", { id: heading }), said = el("p", { class: "said" });
  const plot = el("div", { class: "plot" }), tip = el("div", { class: "tip", hidden: true });
  const behind = el("div", { class: "behind", hidden: true });
  const toggle = button("Table", () => show(behind.hidden), { "aria-expanded": "false" });
  const copies = tools({
    CSV: () => asCsv(chartTable(spec)), JSON: () => asJson(chartTable(spec)),
    SVG: () => asSvg(drawing, spec.title), PNG: () => { copyPng(drawing, spec.title, spec.id); },
  }, first.title, first.id);
  copies.prepend(toggle);
  plot.append(tip);
  const element = el("figure", { class: "chart", "aria-labelledby": heading, "data-block": spec.id, tabindex: 0 }, title, said, plot, copies, behind);

  function show(open) {
    behind.hidden = !open;
    toggle.setAttribute("aria-expanded", String(open));
    toggle.textContent = open ? "Hide table" : "Table";
    if (open && shown !== spec) {
      shown = spec;
      behind.replaceChildren(table({ ...chartTable(spec), id: `${spec.id}-table` }).element);
    }
  }

  function render(unseen = 0) {
    const width = Math.round(plot.clientWidth) || unseen;
    if (!width) return;
    const made = draw(spec, Math.max(width, 260));
    places = made.places;
    if (drawing) drawing.replaceWith(made.root); else plot.prepend(made.root);
    drawing = made.root;
  }

  function update(next) {
    spec = next;
    title.textContent = spec.title;
    said.textContent = spec.conclusion;
    render();
    if (!behind.hidden) show(true);
  }

  plot.addEventListener("pointermove", (event) => point(event, plot, places, tip, drawing));
  plot.addEventListener("pointerleave", () => { tip.hidden = true; });
  new ResizeObserver(() => { if (drawing === null || Math.round(plot.clientWidth) !== Number(drawing.getAttribute("viewBox").split(" ")[2])) render(); }).observe(plot);
  update(first);
  return { element, update, kind: "chart", id: first.id, get title() { return spec.title; }, get spec() { return spec; }, svg: () => { if (!drawing) render(UNSEEN); return asSvg(drawing, spec.title); }, table: () => chartTable(spec) };
}

function point(event, plot, places, tip, drawing) {
  if (!drawing) return;
  const frame = drawing.getBoundingClientRect();
  const a = event.clientX - frame.left, b = event.clientY - frame.top;
  let best = null, least = NEAR * NEAR;
  for (const place of places) {
    const apart = (place.a - a) ** 2 + (place.b - b) ** 2;
    if (apart < least) { least = apart; best = place; }
  }
  tip.hidden = !best;
  if (!best) return;
  const { series, i, spec } = best;
  const name = series.names ? series.names[i] : series.label || series.group || "";
  const line = (axis, value) => el("div", {}, `${axis.title} ${written(value, axis.format)}${axis.unit ? ` ${axis.unit}` : ""}`);
  const ends = series.low ? [el("div", {}, `${written(series.low[i], spec.y.format)} to ${written(series.high[i], spec.y.format)}`)] : [];
  tip.replaceChildren(...(name ? [el("strong", {}, name)] : []), line(spec.x, series.x[i]), line(spec.y, series.y[i]), ...ends);
  tip.style.left = `${Math.min(Math.max(best.a - 70, 0), Math.max(frame.width - 190, 0))}px`;
  tip.style.top = `${best.b + 12}px`;
}

/** What a chart draws, as rows. */
export function chartTable(spec) {
  const bounded = spec.series.some((series) => series.low);
  const named = spec.series.some((series) => series.names);
  const columns = [{ name: "series", format: "text" }, ...(named ? [{ name: "run", format: "text" }] : []),
    { name: spec.x.title, unit: spec.x.unit, format: spec.x.format || "number" },
    { name: spec.y.title, unit: spec.y.unit, format: spec.y.format || "number" },
    ...(bounded ? ["low", "high"].map((name) => ({ name, format: spec.y.format || "number" })) : [])];
  const rows = [];
  for (const series of spec.series) {
    series.x.forEach((x, i) => rows.push([series.label || series.group || "", ...(named ? [series.names ? series.names[i] : ""] : []), x, series.y[i],
      ...(bounded ? [series.low ? series.low[i] : null, series.high ? series.high[i] : null] : [])]));
  }
  return { title: spec.title, conclusion: spec.conclusion, columns, rows };
}
