// A table that sorts, scrolls within itself, and copies as CSV, JSON, Markdown and LaTeX.

import { asCsv, asJson, asLatex, asMarkdown, isNumeric, tools } from "./copying.js";
import { button, el } from "./dom.js";
import { written } from "./numbers.js";

const SHOWN = 100;

/**
 * `spec`: id, title, columns (name, unit, format), rows (arrays of cells), and optionally lead(row)
 * -> an element before each row, mark(row) -> a class of the row, tint(value, i, j) -> of a cell.
 */
export function table(spec) {
  let sorted = { by: -1, down: false }, most = SHOWN, rows = spec.rows;
  const body = el("tbody"), more = el("p", { class: "soft" });
  const heads = spec.columns.map((column, j) => el("th", { scope: "col", class: isNumeric(column) ? "num" : null },
    button(column.name, () => sortBy(j), { class: "sort", title: `Sort by ${column.name}` }),
    column.unit ? el("span", { class: "unit" }, column.unit) : null));
  const head = el("tr", {}, spec.lead ? el("th", { scope: "col" }, spec.leadName) : null, heads);

  function sortBy(j) {
    sorted = { by: j, down: sorted.by === j ? !sorted.down : false };
    heads.forEach((th, k) => th.toggleAttribute("aria-sort", k === j));
    heads[j].setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    render();
  }

  function ordered() {
    if (sorted.by < 0) return rows;
    const sign = sorted.down ? -1 : 1, j = sorted.by;
    return [...rows].sort((a, b) => {
      if (a[j] === null || b[j] === null) return (a[j] === null) - (b[j] === null);
      return sign * (typeof a[j] === "number" ? a[j] - b[j] : String(a[j]).localeCompare(String(b[j])));
    });
  }

  function render() {
    const shown = ordered().slice(0, most);
    body.replaceChildren(...shown.map((row, i) => el("tr", { class: spec.mark ? spec.mark(row) : null, tabindex: spec.lead ? -1 : null, "data-key": spec.keyed ? spec.keyed(row) : null },
      spec.lead ? el("td", {}, spec.lead(row)) : null,
      row.map((value, j) => cell(spec, value, i, j)))));
    const hidden = rows.length - shown.length;
    more.replaceChildren(...(hidden > 0 ? [`${shown.length} of ${rows.length} rows. `, button("Show all", () => { most = Infinity; render(); })] : []));
  }

  const scroller = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": spec.title },
    el("table", {}, spec.caption ? el("caption", {}, spec.caption) : null, el("thead", {}, head), body));
  const current = () => ({ ...spec, rows: ordered() });
  const element = el("div", { class: "tabled", "data-block": spec.id }, scroller, more, tools({
    CSV: () => asCsv(current()), JSON: () => asJson(current()), Markdown: () => asMarkdown(current()), LaTeX: () => asLatex(current()),
  }, spec.title, spec.id));
  render();
  return { element, kind: "table", id: spec.id, title: spec.title, table: current, update(next) { rows = next; render(); } };
}

function cell(spec, value, i, j) {
  const column = spec.columns[j], text = written(value, column.format);
  const kinds = [isNumeric(column) ? "num" : text.length > 28 ? "words" : "short"];
  if (column.format === "code") kinds.push("code");
  if (spec.tint) kinds.push(spec.tint(value, i, j));
  const attributes = { class: kinds.join(" ").trim(), title: typeof value === "number" && isNumeric(column) ? String(value) : null };
  return j === 0 ? el("th", { scope: "row", ...attributes }, text) : el("td", attributes, text);
}
