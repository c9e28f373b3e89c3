// A chart as SVG: axes, marks, and labels beside what they name.
//
// Series of one group share colour and marker; colours are classes that the page's theme fills in.

import { svg, unique } from "./dom.js";
import { tick } from "./numbers.js";
import { scale, spread } from "./scales.js";

const COLOURS = 6, SHADES = 10, LETTER = 7.3, TEXT = 12;
const MARKERS = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}Z`,
  (r) => `M0,${-1.2 * r}L${1.15 * r},${0.9 * r}H${-1.15 * r}Z`,
  (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0Z`,
  (r) => `M0,${1.2 * r}L${1.15 * r},${-0.9 * r}H${-1.15 * r}Z`,
  (r) => `M${-0.45 * r},${-1.3 * r}h${0.9 * r}v${0.85 * r}h${0.85 * r}v${0.9 * r}h${-0.85 * r}v${0.85 * r}h${-0.9 * r}v${-0.85 * r}h${-0.85 * r}v${-0.9 * r}h${0.85 * r}Z`,
];
const FULL = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f000}-\u{3ffff}]/u; // drawn twice as wide
const letters = (text) => [...text].reduce((sum, one) => sum + (FULL.test(one) ? 2 : 1), 0);
const wide = (text) => LETTER * letters(text);

/** A text of at most so many letters' width. */
function clip(text, most) {
  if (letters(text) <= most) return text;
  let kept = "";
  for (const one of text) {
    if (letters(kept + one) > most - 1) break;
    kept += one;
  }
  return `${kept}…`;
}

const axisTitle = (axis) => (axis.unit ? `${axis.title} (${axis.unit})` : axis.title);

/** The drawing of a chart, `width` pixels wide, and the places of its marks for pointing at. */
export function draw(spec, width) {
  const box = layout(spec, width);
  const x = scale(spec.x, values(spec, "x"), box.left, box.left + box.plotWidth, Math.max(3, Math.floor(box.plotWidth / 74)));
  const y = spec.y.categories ? steps(spec.y.categories, box)
    : scale(spec.y, values(spec, "y"), box.top + box.plotHeight, box.top, Math.max(3, Math.floor(box.plotHeight / 42)));
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${box.height}`, class: "drawing", role: "img",
    "aria-label": `${spec.title}. ${spec.conclusion}`, "stroke-linejoin": "round",
  });
  const clipId = unique("clip"), hatchId = unique("hatch");
  root.append(svg("defs", {},
    svg("clipPath", { id: clipId }, svg("rect", { x: box.left, y: box.top, width: box.plotWidth, height: box.plotHeight })),
    svg("pattern", { id: hatchId, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "s-grid", "stroke-width": 2.4 }))));
  drawAxes(root, spec, box, x, y, hatchId);
  const marks = svg("g", { "clip-path": `url(#${clipId})` });
  root.append(marks);
  const styles = stylesOf(spec), places = [];
  for (const mark of ["band", "line", "intervals", "points"]) {
    for (const series of spec.series) {
      if (series.mark === mark) drawSeries(marks, series, styles.get(key(series)), x, y, places, spec, box);
    }
  }
  drawLabels(root, spec, box, styles, x, y);
  return { root, places };
}

/** Names from the top down, the first at 0. */
function steps(names, box) {
  const each = box.plotHeight / names.length;
  return { at: (i) => box.top + each * (i + 0.5), limits: [0, names.length], ticks: names.map((_, i) => i) };
}

function values(spec, axis) {
  const out = [];
  for (const series of spec.series) {
    for (const value of series[axis]) out.push(value);
    if (axis === (series.spans || "y")) out.push(...(series.low || []), ...(series.high || []));
  }
  return out;
}

const key = (series) => series.group || series.label || "";

function stylesOf(spec) {
  const styles = new Map();
  let used = 0;
  for (const series of spec.series) {
    if (styles.has(key(series))) continue;
    const marker = MARKERS[used % MARKERS.length];
    if (series.role === "reference") { styles.set(key(series), { part: "ink", marker: MARKERS[3] }); continue; }
    const part = series.role === "quiet" ? "quiet"
      : series.shade != null ? `r${Math.round(series.shade * (SHADES - 1))}` : `c${used % COLOURS}`;
    styles.set(key(series), { part, marker });
    if (series.role !== "quiet") used += 1;
  }
  return styles;
}

function labelled(spec) {
  return spec.series.filter((series) => series.label);
}

function layout(spec, width) {
  const labels = labelled(spec);
  const beside = width >= 600 && labels.length <= 9 && labels.length > 0;
  const names = spec.y.categories || [];
  const ticksWide = Math.min(Math.max(46, ...names.map((name) => wide(clip(name, 24)) + 6)), 0.4 * width), right = beside ? Math.min(24 + Math.max(...labels.map((s) => wide(clip(s.label, 26)))), 210) : 14;
  const rows = beside ? [] : keyRows(labels, width);
  const top = 26 + 18 * rows.length + (rows.length ? 8 : 0), plotHeight = spec.height || (width < 480 ? 230 : 290);
  return { left: ticksWide + 6, top, plotWidth: width - ticksWide - 6 - right, plotHeight, height: top + plotHeight + 42, beside, rows, right, width };
}

function keyRows(labels, width) {
  const rows = [];
  let room = 0;
  for (const series of labels) {
    const need = wide(clip(series.label, 34)) + 40;
    if (!rows.length || room + need > width) { rows.push([]); room = 0; }
    rows.at(-1).push(series);
    room += need;
  }
  return rows;
}

function drawAxes(root, spec, box, x, y, hatchId) {
  const bottom = box.top + box.plotHeight, right = box.left + box.plotWidth;
  const text = (content, attributes, part = "soft") => svg("text", { class: `f-${part}`, "font-size": TEXT, ...attributes }, content);
  if (spec.beyond !== undefined && spec.beyond < x.limits[1]) {
    const from = Math.max(x.at(spec.beyond), box.left);
    root.append(svg("rect", { x: from, y: box.top, width: right - from, height: box.plotHeight, fill: `url(#${hatchId})` }),
      right - from > 120 ? text("beyond the runs", { x: right - 6, y: box.top + 14, "text-anchor": "end" }) : "");
  }
  for (const value of y.ticks) {
    root.append(svg("line", { x1: box.left, x2: right, y1: y.at(value), y2: y.at(value), class: "s-grid" }),
      text(spec.y.categories ? clip(spec.y.categories[value], Math.floor((box.left - 12) / LETTER)) : tick(value, spec.y.format), { x: box.left - 6, y: y.at(value) + 4, "text-anchor": "end" }));
  }
  for (const value of x.ticks) {
    root.append(svg("line", { x1: x.at(value), x2: x.at(value), y1: bottom, y2: bottom + 4, class: "s-rule" }),
      text(tick(value, spec.x.format), { x: x.at(value), y: bottom + 17, "text-anchor": "middle" }));
  }
  root.append(svg("line", { x1: box.left, x2: right, y1: bottom, y2: bottom, class: "s-rule" }),
    text(axisTitle(spec.y), { x: 2, y: box.top - 10 }, "ink"),
    text(axisTitle(spec.x), { x: right, y: bottom + 36, "text-anchor": "end" }, "ink"));
}

function drawSeries(parent, series, style, x, y, places, spec, box) {
  const points = series.x.map((value, i) => [x.at(value), y.at(series.y[i]), i])
    .filter(([a, b, i]) => Number.isFinite(a) && Number.isFinite(b) && series.x[i] !== null && series.y[i] !== null);
  if (series.mark === "line") {
    drawLine(parent, series, style, points);
    if (series.tag) drawTag(parent, series, points, box);
  }
  else if (series.mark === "band") drawBand(parent, series, style, x, y);
  else {
    if (series.mark === "intervals") drawIntervals(parent, series, style, points, x, y);
    const r = series.radius || (series.role === "quiet" ? 3 : points.length > 400 ? 2.6 : 4.2);
    for (const [a, b, i] of points) {
      const shade = series.shades ? `r${Math.round(series.shades[i] * (SHADES - 1))}` : style.part;
      parent.append(svg("path", {
        d: style.marker(r), transform: `translate(${a.toFixed(1)},${b.toFixed(1)})`,
        class: series.hollow ? `f-paper s-${shade}` : `f-${shade} s-paper`, "stroke-width": series.hollow ? 1.6 : 0.6,
      }));
    }
  }
  if (series.mark === "band") return;
  const each = series.mark === "line" ? Math.ceil(points.length / 200) : 1;
  points.forEach(([a, b, i], k) => { if (k % each === 0) places.push({ a, b, i, series, spec }); });
}

function drawLine(parent, series, style, points) {
  if (!points.length) return;
  parent.append(svg("path", {
    d: points.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)},${b.toFixed(1)}`).join(""), fill: "none",
    class: `s-${style.part}`, "stroke-width": series.role === "quiet" ? 1 : 1.8,
    "stroke-dasharray": series.dashed || series.role === "reference" ? "5 4" : null,
  }));
}

/** A line's own name, written where it ends or leaves the plot, or where it starts. */
function drawTag(parent, series, points, box) {
  const inside = points.filter(([a, b]) => a >= box.left && a <= box.left + box.plotWidth && b >= box.top + 14 && b <= box.top + box.plotHeight);
  if (!inside.length || (series.tagAt === "start" && box.plotWidth < 480)) return;
  const [a, b] = inside.at(series.tagAt === "start" ? 0 : -1), right = a > box.left + box.plotWidth / 2;
  parent.append(svg("text", { x: a + (right ? -4 : 4), y: b - 5, "text-anchor": right ? "end" : "start", class: "f-soft s-paper", "stroke-width": 3, "paint-order": "stroke", "font-size": TEXT - 1 }, series.tag));
}

function drawBand(parent, series, style, x, y) {
  const across = series.spans === "x";
  const corner = (value, i, end) => (across ? [x.at(end), y.at(series.y[i])] : [x.at(value), y.at(end)]);
  const along = series.x.map((value, i) => i).filter((i) => Number.isFinite(series.low[i]) && Number.isFinite(series.high[i]) && series.low[i] !== null && series.high[i] !== null);
  const path = [...along.map((i) => corner(series.x[i], i, series.high[i])), ...along.reverse().map((i) => corner(series.x[i], i, series.low[i]))];
  if (!path.length) return;
  parent.append(svg("path", { d: `M${path.map((p) => p.map((v) => v.toFixed(1)).join(",")).join("L")}Z`, class: `f-${style.part}`, opacity: 0.22 }));
}

function drawIntervals(parent, series, style, points, x, y) {
  const across = series.spans === "x";
  for (const [a, b, i] of points) {
    if (series.low[i] === null || series.high[i] === null) continue;
    const ends = across ? { x1: x.at(series.low[i]), x2: x.at(series.high[i]), y1: b, y2: b } : { x1: a, x2: a, y1: y.at(series.low[i]), y2: y.at(series.high[i]) };
    parent.append(svg("line", { ...ends, class: `s-${style.part}`, "stroke-width": 2 }));
  }
}

function swatch(series, style, x, y) {
  if (series.mark === "line") return svg("line", { x1: x - 8, x2: x + 8, y1: y, y2: y, class: `s-${style.part}`, "stroke-width": 2.2, "stroke-dasharray": series.dashed || series.role === "reference" ? "5 3" : null });
  if (series.mark === "band") return svg("rect", { x: x - 8, y: y - 5, width: 16, height: 10, class: `f-${style.part}`, opacity: 0.3 });
  const part = series.shades ? "r4" : style.part;
  return svg("path", { d: style.marker(4.2), transform: `translate(${x},${y})`, class: series.hollow ? `f-paper s-${part}` : `f-${part}`, "stroke-width": 1.6 });
}

function drawLabels(root, spec, box, styles, x, y) {
  const write = (series, at, height, most) => root.append(swatch(series, styles.get(key(series)), at, height),
    svg("text", { x: at + 13, y: height + 4, class: "f-ink", "font-size": TEXT }, clip(series.label, most)));
  box.rows.forEach((row, k) => {
    let at = 12;
    for (const series of row) { write(series, at, 12 + 18 * k, 34); at += wide(clip(series.label, 34)) + 40; }
  });
  if (!box.beside) return;
  const labels = labelled(spec);
  const wanted = labels.map((series) => ending(series, y, box));
  spread(wanted, 18, box.top + 6, box.top + box.plotHeight - 6).forEach((height, i) => write(labels[i], box.width - box.right + 18, height, 26));
}

/** The height at which a series ends on the right. */
function ending(series, y, box) {
  let at = -1;
  series.x.forEach((value, i) => {
    const here = series.y[i];
    if (here === null || !Number.isFinite(y.at(here))) return;
    if (at < 0 || value >= series.x[at]) at = i;
  });
  return at < 0 ? box.top + box.plotHeight / 2 : Math.min(Math.max(y.at(series.y[at]), box.top), box.top + box.plotHeight);
}
