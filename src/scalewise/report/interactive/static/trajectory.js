// Loss along a run: measured curves, and the predicted one with its band where the law knows steps.

import { chart } from "./chart.js";
import { slider } from "./controls.js";
import { reachTold } from "./doubts.js";
import { absent, announce, button, el } from "./dom.js";
import { count, counted, levelText, loss as lossText } from "./numbers.js";
import { predict, valueAt } from "./predict.js";

const POINTS = 40, MOST_CURVES = 60, MOST_BYTES = 20e6;

export const trajectory = {
  key: "trajectory", letter: "t", title: "Trajectory",
  build(ctx) {
    const curves = ctx.data.runs && ctx.data.runs.curves;
    if (ctx.data.curveLaw) return predicted(ctx, curves);
    if (curves) return { element: el("div", {}, ctx.block(chart(measured(ctx, curves)), "Trajectory")) };
    return { element: absent("There is no curve to show: neither checkpoints of the runs nor a law of steps.", "Give the runs with their checkpoints, or fit whole curves.", "scalewise fit RUNS --law trajectory --out fit.json") };
  },
};

const sizeOf = (curve) => curve.params ?? curve.params_nonembed;

function measuredSeries(curves) {
  const chosen = curves.curves.slice(0, MOST_CURVES).sort((a, b) => (sizeOf(a) || 0) - (sizeOf(b) || 0));
  const sizes = [...new Set(chosen.map((curve) => sizeOf(curve)))];
  return chosen.map((curve, i) => {
    const place = sizes.indexOf(sizeOf(curve));
    const first = chosen.findIndex((other) => sizeOf(other) === sizeOf(curve)) === i;
    const told = place === 0 || place === sizes.length - 1 || place === Math.floor(sizes.length / 2);
    return {
      mark: "line", x: curve.x, y: curve.y, shade: sizes.length > 1 ? place / (sizes.length - 1) : 0.5, group: `size ${place}`,
      label: first && told && sizeOf(curve) ? `${count(sizeOf(curve))} params` : "", names: curve.x.map(() => curve.run),
    };
  });
}

function measured(ctx, curves) {
  const shown = Math.min(curves.curves.length, MOST_CURVES), series = measuredSeries(curves);
  const lowest = Math.min(...curves.curves.map((curve) => Math.min(...curve.y)));
  const kept = curves.drawn < curves.points ? ` ${count(curves.drawn)} of ${count(curves.points)} points are kept.` : "";
  return {
    id: "curves", title: "Measured loss curves", height: 360,
    conclusion: `${counted(shown, "run")}${shown < curves.curves.length ? ` of ${curves.curves.length}` : ""}; the lowest loss reached is ${lossText(lowest)} nats/token.${kept}`,
    x: { title: curves.along, scale: "log", format: "count" }, y: { title: "loss", unit: "nats/token", scale: "log", format: "number" }, series,
  };
}

function predicted(ctx, curves) {
  const { state } = ctx, v = () => state.values;
  const log = (key, label, low, high) => slider({ label, low, high, get: () => v()[key], set: (value) => state.set({ [key]: value }) });
  const controls = [log("t_params", "Size (params_nonembed)", 1e4, 1e13), log("t_batch", "Batch (tokens)", 1e2, 1e9), log("t_steps", "Updates", 10, 1e8)];
  let live = null, drawn = null;
  const file = el("input", { type: "file", accept: ".csv,.json,.jsonl,.txt", id: "live", onchange: async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    try { live = readLive(chosen.size > MOST_BYTES ? "" : await chosen.text()); announce(`${counted(live.x.length, "point")} of ${chosen.name}.`); } catch (error) { live = null; announce(error.message); }
    file.value = ""; // so that the same file, grown since, can be chosen again
    refresh();
  } });
  const place = el("div", { class: "answers" });
  const element = el("div", { class: "split" }, el("form", { class: "panel", "aria-label": "The run", onsubmit: (event) => event.preventDefault() }, controls.map((control) => control.element),
    el("div", { class: "control" }, el("label", { for: "live" }, "A live run: CSV with step and loss"), file, button("Remove", () => { live = null; refresh(); }))), place);
  function refresh() {
    controls.forEach((control) => control.refresh());
    const next = predictedSpec(ctx, live);
    if (drawn) drawn.update(next); else {
      place.append(ctx.block(drawn = chart(next), "Trajectory"));
      if (curves) place.append(ctx.block(chart(measured(ctx, curves)), "Trajectory"));
    }
  }
  refresh();
  return { element, changed: refresh };
}

export function inputsAt(state, step) {
  return { params_nonembed: state.t_params, batch_tokens: state.t_batch, step };
}

function predictedSpec(ctx, live) {
  const state = ctx.state.values, { ranges } = ctx.data.curveLaw, first = Math.min(ranges.step ? ranges.step[0] : state.t_steps / 100, state.t_steps / 2);
  const x = Array.from({ length: POINTS }, (_, k) => first * (state.t_steps / first) ** (k / (POINTS - 1)));
  const all = x.map((step) => predict(ctx.mix.predict, inputsAt(state, step), state.level)), end = all.at(-1);
  const level = levelText(state.level), interval = ctx.drawn ? ` (${level} interval ${lossText(end.low)} to ${lossText(end.high)})` : "";
  const series = [...(ctx.drawn ? [{ mark: "band", x, y: all.map((p) => p.value), low: all.map((p) => p.low), high: all.map((p) => p.high), group: "law" }] : []),
    { mark: "line", x, y: all.map((p) => p.value), group: "law", label: "predicted" }];
  let told = "";
  if (live) {
    series.push({ mark: "points", x: live.x, y: live.y, group: "live", label: "live run" });
    told = ` ${onTrack(ctx, state, live)}`;
  }
  return {
    id: "predicted-curve", title: "Predicted loss along the run", height: 340,
    conclusion: `${count(state.t_params)} params at batches of ${count(state.t_batch)} tokens reach ${lossText(end.value)} nats/token after ${count(state.t_steps)} updates${interval}; ${reachTold(ctx.data, inputsAt(state, state.t_steps), ranges)}.${told}`,
    x: { title: "update", scale: "log", format: "count" }, y: { title: "loss", unit: "nats/token", scale: "log", format: "number" },
    beyond: ranges.step ? ranges.step[1] : undefined, series,
  };
}

function onTrack(ctx, state, live) {
  const step = live.x.at(-1), at = predict(ctx.mix.predict, inputsAt(state, step), state.level), now = live.y.at(-1);
  if (now > at.high) return `At update ${count(step)} the live run is above its band (${lossText(now)} against at most ${lossText(at.high)}): look into it before spending more.`;
  if (now < at.low) return `At update ${count(step)} the live run is below its band (${lossText(now)}), better than forecast.`;
  return `At update ${count(step)} the live run is inside its band (${lossText(now)} against ${lossText(valueAt(ctx.mix.predict, inputsAt(state, step)))}).`;
}

/** Steps and losses of a CSV with a head, or of JSON lines. */
export function readLive(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  if (lines.length < 2) throw new Error("The file holds no two lines that could be read (at most 20 MB).");
  const isJson = lines[0].trimStart().startsWith("{"), head = isJson ? null : lines[0].split(/[,;\t]/).map((name) => name.trim().replaceAll('"', ""));
  const rows = (isJson ? lines : lines.slice(1)).map((line) => (isJson ? JSON.parse(line) : Object.fromEntries(line.split(/[,;\t]/).map((cell, i) => [head[i], cell]))));
  const pick = (names) => names.find((name) => rows.some((row) => row[name] !== undefined && row[name] !== "" && Number.isFinite(Number(row[name]))));
  const step = pick(["step", "_step", "global_step", "iteration"]), measured = pick(["loss", "val_loss", "eval/loss", "val/loss", "train_loss", "train/loss"]);
  if (!step || !measured) throw new Error("The file needs a column step and a column loss.");
  const kept = rows.map((row) => [Number(row[step]), Number(row[measured])]).filter(([s, l]) => s > 0 && l > 0).sort((a, b) => a[0] - b[0]);
  if (!kept.length) throw new Error("No row has a step and a loss above zero.");
  const each = Math.ceil(kept.length / 400);
  const some = kept.filter((_, i) => i % each === 0 || i === kept.length - 1);
  return { x: some.map(([s]) => s), y: some.map(([, l]) => l) };
}
