// The runs: what was read, how healthy it is, and what each run decides.

import { chart } from "./chart.js";
import { copyText } from "./copying.js";
import { absent, announce, button, el } from "./dom.js";
import { count, counted, listed, loss as lossText, number } from "./numbers.js";
import { table } from "./table.js";

const FORMATS = { params: "count", params_nonembed: "count", tokens: "count", flops: "flops", step: "count", batch_tokens: "count", loss: "loss", error: "loss", lr_peak: "number", seed: "integer" };
const ORDER = { error: 0, warning: 1, note: 2 };

export const runs = {
  key: "runs", letter: "r", title: "Runs and health",
  build(ctx) {
    const { runs: data, effects } = ctx.data;
    if (!data && !effects) return { element: absent("The runs are not in this page.", "Write it again with the table that the fit was made from.", "scalewise report fit.json --runs RUNS --out report.html") };
    const out = new Set(), answerLine = el("p", { class: "said", role: "status", id: "without" });
    const all = rowsOf(data, effects), filter = el("input", { type: "search", id: "filter", placeholder: "Filter runs", "aria-label": "Filter runs", autocomplete: "off" });
    const kept = () => all.rows.filter((row) => filter.value.toLowerCase().split(/\s+/).every((word) => String(row[0]).toLowerCase().includes(word)));
    const toggle = (name) => { if (out.has(name)) out.delete(name); else out.add(name); effect(); made.update(kept()); };
    const made = table({
      id: "runs", title: "Runs", columns: all.columns, rows: all.rows, leadName: "in", keyed: (row) => row[0],
      caption: data ? `${counted(data.finals, "finished model")} of ${counted(data.runs, "run")}, ${counted(data.rows, "row")} read` : "The points of the fit; names are not known",
      lead: (row) => el("input", { type: "checkbox", "aria-label": `Include ${row[0]}`, checked: !out.has(row[0]), onchange: () => toggle(row[0]) }),
      mark: (row) => (out.has(row[0]) ? "left-out" : null),
    });
    filter.addEventListener("input", () => made.update(kept()));
    function effect() { answerLine.replaceChildren(...toldWithout(effects, [...out], data)); }
    effect();
    const element = el("div", {}, data ? notesOf(data) : null, el("h3", { id: "table" }, "Runs"),
      el("p", { class: "soft" }, `Untick a run, or press x on its row, ${effects ? "to see what the answer owes to it" : "for the command that fits without it"}.`), answerLine,
      el("div", { class: "filter" }, filter), ctx.block(made, "Runs"), decisive(ctx, effects), losses(ctx, data), health(ctx, data, filter, made, kept));
    return { element, filter, rows: () => [...element.querySelectorAll("[data-block=runs] tbody tr")], exclude: toggle };
  },
};

function notesOf(data) {
  return el("details", {}, el("summary", {}, `What was read and assumed (${data.assumptions.length})`),
    el("p", {}, data.source), el("ul", {}, data.assumptions.map((text) => el("li", {}, text))));
}

function rowsOf(data, effects) {
  const shift = (name) => (effects && effects.runs[name] ? effects.runs[name] : null);
  const extra = effects ? [{ name: "answer without it", unit: "nats/token", format: "loss" }, { name: "change", unit: "half widths", format: "number" }] : [];
  const more = (name) => (effects ? [shift(name)?.value ?? null, shift(name)?.shift == null ? null : Number(shift(name).shift.toPrecision(3))] : []);
  if (!data) {
    return { columns: [{ name: "run", format: "text" }, ...extra], rows: Object.keys(effects.runs).map((name) => [name, ...more(name)]) };
  }
  const names = data.columns.filter((name) => name !== "run_id");
  const columns = [{ name: "run", format: "text" }, ...extra, ...names.map((name) => ({ name, format: FORMATS[name] || "text" }))];
  const rows = data.values.run_id.map((id, i) => [id, ...more(id), ...names.map((name) => data.values[name][i])]);
  return { columns, rows };
}

/** The answer without what is unticked: known for one run, to first order for several. */
function toldWithout(effects, out, data) {
  if (!effects) return out.length ? [`${counted(out.length, "run")} left out. This page holds no fit without ${out.length > 1 ? "them" : "it"}: `, command(out, data)] : [];
  const { base, target } = effects, interval = `${lossText(base.low)} to ${lossText(base.high)}`;
  if (!out.length) return [`With every run, ${target} come to ${lossText(base.value)} nats/token (${interval}) by ${effects.law}.`];
  const known = out.map((name) => effects.runs[name]).filter((one) => one && one.value);
  if (!known.length) return ["What is left out was not in the fit: the answer stays as it is. ", command(out, data)];
  const value = known.reduce((sum, one) => sum * (one.value / base.value), base.value);
  const doubts = known.map((one) => one.doubt).filter(Boolean);
  const about = known.length > 1 ? "about " : "";
  return [`Without ${listed(out.slice(0, 4))}${out.length > 4 ? ` and ${out.length - 4} more` : ""}, ${target} come to ${about}${lossText(value)} nats/token instead of ${lossText(base.value)} (${interval})`
    + `${known.length > 1 ? ", each effect taken by itself" : ""}. ${doubts.join(" ")} `, command(out, data)];
}

function command(out, data) {
  // Names are anybody's text: quoted for the condition, and the whole again for the shell.
  const quoted = out.map((name) => JSON.stringify(String(name))).join(", ");
  const source = data && /^[\w./-]+$/.test(data.source) ? data.source : "RUNS";
  const condition = `not (run_id in (${quoted}${out.length === 1 ? "," : ""}))`.replaceAll("'", "'\\''");
  const text = `scalewise fit ${source} --where '${condition}'`;
  return button("Copy the command that refits without", () => copyText(text, "the command"));
}

function decisive(ctx, effects) {
  if (!effects) return null;
  const rows = Object.entries(effects.runs).filter(([, one]) => one.shift !== null).sort((a, b) => Math.abs(b[1].shift) - Math.abs(a[1].shift)).slice(0, 20);
  if (!rows.length) return null;
  const [name, most] = rows[0], big = rows.filter(([, one]) => Math.abs(one.shift) > 1).length;
  return ctx.block(chart({
    id: "leverage", title: "What pins the answer down",
    conclusion: `${big ? `${counted(big, "run")} alone would move the answer by more than half its interval's width` : "No run alone moves the answer by more than half its interval's width"}; ${name} most, to ${lossText(most.value)}.`,
    x: { title: "answer without the run", unit: "nats/token", format: "loss" }, y: { title: "left out", format: "integer", categories: rows.map(([id]) => id) }, height: Math.max(60, 20 * rows.length),
    series: [{ mark: "line", x: [effects.base.value, effects.base.value], y: [-0.5, rows.length - 0.5], group: "all", label: "all runs", role: "reference" },
      { mark: "points", x: rows.map(([, one]) => one.value), y: rows.map((_, i) => i), group: "runs", label: "without one run", names: rows.map(([id]) => id) }],
  }), "Runs");
}

function losses(ctx, data) {
  if (!data || !data.values.loss) return null;
  const along = ["flops", "tokens", "params", "params_nonembed"].find((name) => data.values[name]);
  if (!along) return null;
  const keep = data.values.loss.map((_, i) => i).filter((i) => data.values.loss[i] > 0 && data.values[along][i] > 0);
  if (!keep.length) return null;
  const y = keep.map((i) => data.values.loss[i]), x = keep.map((i) => data.values[along][i]);
  return ctx.block(chart({
    id: "runs-loss", title: `Loss of the runs by ${along}`,
    conclusion: keep.length === 1 ? `One finished model, with a loss of ${lossText(y[0])} nats/token.`
      : `${counted(keep.length, "finished model")}, from ${lossText(Math.max(...y))} down to ${lossText(Math.min(...y))} nats/token over ${count(Math.max(...x) / Math.min(...x))}-fold ${along}.`,
    x: { title: along, unit: along === "flops" ? "FLOP" : "", scale: "log", format: FORMATS[along] }, y: { title: "loss", unit: "nats/token", scale: "log", format: "number" },
    series: [{ mark: "points", x, y, names: keep.map((i) => data.values.run_id[i]), group: "runs" }],
  }), "Runs");
}

function health(ctx, data, filter, made, kept) {
  if (!data) return null;
  const found = [...data.findings].sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  const show = (name) => { filter.value = name; made.update(kept()); filter.scrollIntoView({ block: "center" }); announce(`Filtered by ${name}.`); };
  const items = found.map((one) => el("li", { class: `finding ${one.severity}` },
    el("strong", {}, `${one.severity}: ${one.name}`), el("p", {}, one.fact), el("p", { class: "soft" }, one.mend),
    one.runs.length ? el("p", { class: "names" }, one.runs.slice(0, 8).map((name) => button(name, () => show(name), { class: "chip" })), one.touched > 8 ? ` and ${number(one.touched - 8)} more` : "") : null));
  const element = el("div", { "data-block": "health" }, el("h3", { id: "health" }, "Health"),
    el("p", { class: "said" }, found.length ? `${counted(found.filter((one) => one.severity === "error").length, "error")}, ${counted(found.filter((one) => one.severity === "warning").length, "warning")}, ${counted(found.filter((one) => one.severity === "note").length, "note")}.` : "Nothing was found that would mislead a fit."),
    el("ul", { class: "findings" }, items));
  return ctx.block({ element, kind: "text", id: "health", title: "Health of the runs", text: found.map((one) => `- **${one.severity}: ${one.name}** ${one.fact} ${one.mend}`).join("\n") || "Nothing was found." }, "Runs");
}

