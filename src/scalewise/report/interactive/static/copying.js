// Copies of charts, tables and laws in the forms that other programs read.

import { announce, button, el, unique } from "./dom.js";
import { written } from "./numbers.js";

/** Text to the clipboard; where that is not allowed, a file. */
export async function copyText(text, what, name = "") {
  try {
    await navigator.clipboard.writeText(text);
    announce(`Copied ${what}.`);
    return;
  } catch { /* a frame or an old browser: try the older way */ }
  const area = el("textarea", { class: "offscreen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (done) announce(`Copied ${what}.`);
  else save(new Blob([text], { type: "text/plain" }), name || "copy.txt", what);
}

export function save(blob, name, what) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  announce(`Saved ${what} as ${name}.`);
}

// A spreadsheet runs cells that begin with these.
const FORMULA = /^[=+\-@\t\r]/;

function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = FORMULA.test(String(value)) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function heads(table) {
  return table.columns.map((c) => (c.unit ? `${c.name} (${c.unit})` : c.name));
}

export function asCsv(table) {
  return [heads(table), ...table.rows].map((row) => row.map(csvCell).join(",")).join("\n") + "\n";
}

export function asJson(table) {
  const rows = table.rows.map((row) => Object.fromEntries(table.columns.map((c, i) => [c.name, row[i] ?? null])));
  const columns = table.columns.map(({ name, unit }) => ({ name, unit: unit || "" }));
  return JSON.stringify({ title: table.title, conclusion: table.conclusion || "", columns, rows }, null, 2) + "\n";
}

function texts(table) {
  return table.rows.map((row) => row.map((value, j) => written(value, table.columns[j].format)));
}

const flat = (text) => text.replace(/\s+/g, " ");

export function asMarkdown(table) {
  const cell = (text) => flat(text).replace(/[|\\<>`*_[\]]/g, "\\$&");
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const rule = table.columns.map((c) => (isNumeric(c) ? "---:" : "---"));
  return [line(heads(table).map(cell)), line(rule), ...texts(table).map((row) => line(row.map(cell)))].join("\n") + "\n";
}

const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };

export function asLatex(table) {
  const cell = (text) => flat(text).replace(/[\\~^]|[&%$#_{}]/g, (sign) => TEX[sign] || `\\${sign}`)
    .replaceAll("×", "$\\times$").replaceAll("∞", "$\\infty$").replaceAll("–", "--");
  const line = (cells) => `${cells.map(cell).join(" & ")} \\\\`;
  return [`\\begin{tabular}{${table.columns.map((c) => (isNumeric(c) ? "r" : "l")).join("")}}`, "\\toprule",
    line(heads(table)), "\\midrule", ...texts(table).map(line), "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

export function isNumeric(column) {
  return !["text", "code", undefined].includes(column.format);
}

/** A drawing that needs no page around it: its colours are those it is shown in. */
export function asSvg(drawing, title) {
  const copy = drawing.cloneNode(true);
  const shown = [drawing, ...drawing.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(shown[i]);
    for (const name of ["fill", "stroke"]) if (style[name] && style[name] !== "none") node.setAttribute(name, style[name]);
    if (node.tagName === "text") {
      node.setAttribute("font-family", "system-ui, sans-serif");
      node.setAttribute("font-size", style.fontSize);
      node.setAttribute("font-weight", style.fontWeight);
    }
    node.removeAttribute("class");
  });
  ownNames(copy);
  const [, , width, height] = drawing.getAttribute("viewBox").split(" ");
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width, height, fill: paperColour() })) paper.setAttribute(name, value);
  copy.prepend(paper);
  const named = document.createElementNS("http://www.w3.org/2000/svg", "title");
  named.textContent = title;
  copy.prepend(named);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return new XMLSerializer().serializeToString(copy);
}

/** New ids, so that a copy refers to its own parts wherever it is put. */
function ownNames(copy) {
  const names = new Map([...copy.querySelectorAll("[id]")].map((node) => [node.id, unique(node.id)]));
  for (const node of [copy, ...copy.querySelectorAll("*")]) {
    if (names.has(node.id)) node.id = names.get(node.id);
    for (const name of ["fill", "clip-path"]) {
      const found = /^url\("?#([\w-]+)"?\)/.exec(node.getAttribute(name) || "");
      if (found) node.setAttribute(name, `url(#${names.get(found[1]) || found[1]})`);
    }
  }
}

function paperColour() {
  return getComputedStyle(document.body).backgroundColor;
}

/** The drawing as pixels, twice as fine as on the screen. */
export function asPng(drawing, title) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => {
      const canvas = el("canvas", { width: 2 * picture.width, height: 2 * picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/png");
    };
    picture.onerror = () => reject(new Error("the drawing cannot be read"));
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(asSvg(drawing, title))}`;
  });
}

export async function copyPng(drawing, title, name) {
  const blob = await asPng(drawing, title);
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    announce(`Copied ${title} as PNG.`);
  } catch {
    save(blob, `${name}.png`, `${title} as PNG`);
  }
}

/** The buttons under a chart or a table: one per form. */
export function tools(forms, what, name) {
  return el("div", { class: "tools", role: "group", "aria-label": `Copy ${what}` },
    el("span", { class: "soft", "aria-hidden": "true" }, "Copy"),
    Object.entries(forms).map(([form, make]) => button(form, () => {
      const made = make();
      if (typeof made === "string") copyText(made, `${what} as ${form}`, `${name}.${form.toLowerCase()}`);
    }, { "aria-label": `Copy ${what} as ${form}`, "data-form": form })));
}
