// The fit: the law, its constants and how they hang together, and what it leaves unexplained.

import { chart } from "./chart.js";
import { copyText } from "./copying.js";
import { button, el, facts, notes, unfitted } from "./dom.js";
import { levelText, listed, number, percent } from "./numbers.js";
import { table } from "./table.js";

const STRONG = 0.9; // correlation from which two constants should not be read apart
const FORMATS = { flops: "flops", lr_peak: "number", lr: "number" };

export const fit = {
  key: "fit", letter: "f", title: "Fit",
  build(ctx) {
    const { fit: found } = ctx.data;
    if (!found) return { element: unfitted(ctx.data) };
    const level = levelText(ctx.data.level);
    const constants = table({
      id: "constants", title: `Constants of ${found.key}`, rows: found.constants, caption: `Constants of ${found.key}, with ${level} intervals`,
      columns: [{ name: "constant", format: "code" }, { name: "value", format: "number" }, { name: `${level} low`, format: "number" },
        { name: `${level} high`, format: "number" }, { name: "unit", format: "text" }, { name: "mark", format: "text" }, { name: "meaning", format: "text" }],
    });
    return { element: el("div", {}, el("p", { class: "conclusion" }, found.conclusion), law(ctx, found), notes("Caveats", found.caveats),
      el("h3", {}, "Constants"), ctx.block(constants, "Fit"), correlation(ctx, found), residuals(ctx, found), profiles(ctx, found),
      el("h3", {}, "How it was found"), facts(found.facts)) };
  },
};

function law(ctx, found) {
  const copy = (form, text) => button(form, () => copyText(text, `the law as ${form}`, `law.${form.toLowerCase()}`), { "aria-label": `Copy the law as ${form}` });
  const shown = found.members.length > 1 ? found.members.map((m) => `${percent(m.share)}  ${m.key}: ${m.formula}`).join("\n") : `${found.quantity} = ${found.formula}`;
  const element = el("div", { class: "law", "data-block": "law" }, el("pre", { class: "formula" }, shown),
    el("div", { class: "tools", role: "group", "aria-label": "Copy the law" }, el("span", { class: "soft", "aria-hidden": "true" }, "Copy"),
      copy("LaTeX", found.code.latex), copy("Python", found.code.python), copy("JavaScript", found.code.javascript)));
  return ctx.block({ element, kind: "law", id: "law", title: "The law", text: `\`\`\`\n${shown}\n\`\`\`\n` }, "Fit");
}

function correlation(ctx, found) {
  const matrix = found.correlation;
  if (!matrix || matrix.names.length < 2) return null;
  const strong = [];
  matrix.names.forEach((a, i) => matrix.names.slice(0, i).forEach((b, j) => { if (Math.abs(matrix.values[i][j]) > STRONG) strong.push(`${b} with ${a}`); }));
  const made = table({
    id: "correlation", title: "Correlation of the constants", columns: [{ name: "constant", format: "code" }, ...matrix.names.map((name) => ({ name, format: "number" }))],
    rows: matrix.names.map((name, i) => [name, ...matrix.values[i].map((v) => (v === null ? null : Number(v.toFixed(Math.abs(v) > 0.99 ? 4 : 2))))]),
    tint: (value, i, j) => (j > 0 && value !== null ? `tint${Math.min(4, Math.floor(Math.abs(value) * 5))}` : ""),
  });
  return el("div", {}, el("h3", {}, "Correlation of the constants"),
    el("p", { class: "said" }, strong.length ? `${listed(strong)} move together: read each pair as one, no constant alone.` : `No two constants are tied by more than ${STRONG}.`), ctx.block(made, "Fit"));
}

function residuals(ctx, found) {
  const left = found.residuals;
  if (!left) return null;
  const axes = [...inOrder(Object.keys(left.columns)).map((name) => [name, left.columns[name], { title: name, scale: "log", format: FORMATS[name] || "count" }]),
    ["order", left.order, { title: "order in the table", scale: "linear", format: "integer" }]];
  return el("div", {}, el("h3", {}, "Residuals"), el("div", { class: "grid" }, axes.map(([name, values, axis]) => ctx.block(chart(residualSpec(left, name, values, axis)), "Fit"))));
}

const FIRST = ["params", "params_nonembed", "tokens", "flops"];

function inOrder(names) {
  return [...FIRST.filter((name) => names.includes(name)), ...names.filter((name) => !FIRST.includes(name))];
}

function residualSpec(left, name, values, axis) {
  const drift = rankCorrelation(values, left.values), sure = 2.6 / Math.sqrt(Math.max(left.values.length - 1, 1));
  const worst = left.values.reduce((best, v, i) => (Math.abs(v) > Math.abs(left.values[best]) ? i : best), 0);
  return {
    id: `residuals-${name}`, title: `Residuals by ${name}`, height: 200,
    conclusion: `${Math.abs(drift) > sure ? `They drift (rank correlation ${drift.toFixed(2)})` : `No drift (rank correlation ${drift.toFixed(2)})`}; farthest off is ${left.runs[worst]}, ${percent(left.values[worst], true)}.`,
    x: axis, y: { title: "measured against law", scale: "linear", format: "signed-percent" },
    series: [{ mark: "line", x: [Math.min(...values), Math.max(...values)], y: [0, 0], group: "law", role: "reference" },
      { mark: "points", x: values, y: left.values, group: "runs", names: left.runs }],
  };
}

function ranks(values) {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]), out = [];
  for (let k = 0; k < order.length;) {
    let end = k;
    while (end + 1 < order.length && values[order[end + 1]] === values[order[k]]) end += 1;
    for (let i = k; i <= end; i++) out[order[i]] = (k + end) / 2;
    k = end + 1;
  }
  return out;
}

function rankCorrelation(a, b) {
  const x = ranks(a), y = ranks(b), mean = (a.length - 1) / 2;
  let xy = 0, xx = 0, yy = 0;
  x.forEach((r, i) => { xy += (r - mean) * (y[i] - mean); xx += (r - mean) ** 2; yy += (y[i] - mean) ** 2; });
  return xx && yy ? xy / Math.sqrt(xx * yy) : 0;
}

function profileScale(values) {
  const low = Math.min(...values), high = Math.max(...values);
  return { scale: low > 0 && high > 10 * low ? "log" : "linear", format: high > 1e4 ? "count" : "number" };
}

function profiles(ctx, found) {
  if (!found.profiles.length) return null;
  const level = levelText(ctx.data.level);
  return el("div", {}, el("h3", {}, "Profile curves"),
    el("p", { class: "said" }, `How much worse the fit becomes when one constant is held elsewhere; below 1 is the ${level} interval. A flat or one-sided curve is a constant the runs do not determine.`),
    el("div", { class: "grid" }, found.profiles.map((curve) => ctx.block(chart({
      id: `profile-${curve.name}`, title: `Profile of ${curve.name}`, height: 190,
      conclusion: `${curve.name} lies between ${number(curve.low, 4)} and ${number(curve.high, 4)}${curve.ends.every((end) => end === "closed") ? "" : ", with an end that the runs leave open"}.`,
      x: { title: curve.name, unit: curve.unit === "1" ? "" : curve.unit, ...profileScale(curve.values) },
      y: { title: "rise", unit: "of what the level allows", scale: "linear", format: "number" },
      series: [{ mark: "line", x: curve.values, y: curve.rise, group: "profile" },
        { mark: "line", x: [curve.values[0], curve.values.at(-1)], y: [1, 1], group: "level", role: "quiet", dashed: true },
        { mark: "points", x: [curve.best], y: [0], group: "best", role: "reference", radius: 5 }],
    }), "Fit"))));
}

