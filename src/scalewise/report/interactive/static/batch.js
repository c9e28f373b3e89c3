// Batch size: updates against tokens to one loss, and the critical batch between the two.

import { chart } from "./chart.js";
import { slider } from "./controls.js";
import { absent, el, facts } from "./dom.js";
import { count, levelText, loss as lossText, number } from "./numbers.js";

const BATCHES = 33, ENDLESS = 1e18, STEPS = 28;

export const batch = {
  key: "batch", letter: "b", title: "Batch size",
  build(ctx) {
    if (!ctx.data.curveLaw) return { element: absent(`The law ${ctx.data.fit ? ctx.data.fit.key : ""} knows no batch size.`, "Fit whole loss curves of several sizes, with a batch scan of one.", "scalewise fit RUNS --law trajectory --out fit.json") };
    const { state } = ctx, v = () => state.values;
    const log = (key, label, low, high, format) => slider({ label, low, high, format, get: () => v()[key], set: (value) => state.set({ [key]: value }) });
    const controls = [log("t_params", "Size (params_nonembed)", 1e4, 1e13), log("b_loss", "Loss to reach", 0.5, 12, (value) => number(value, 4)), log("t_batch", "Batch (tokens)", 1e2, 1e9)];
    const said = el("p", { class: "conclusion" }), list = el("div"), place = el("div", { class: "answers" }, said, list);
    let drawn = null;
    function refresh() {
      controls.forEach((control) => control.refresh());
      const found = trade(ctx, v());
      said.textContent = found.said;
      list.replaceChildren(found.facts ? facts(found.facts) : "");
      if (found.spec) { if (drawn) drawn.update(found.spec); else place.append(ctx.block(drawn = chart(found.spec), "Batch size")); }
    }
    refresh();
    return { element: el("div", { class: "split" }, el("form", { class: "panel", "aria-label": "What is asked", onsubmit: (event) => event.preventDefault() }, controls.map((c) => c.element)), place), changed: refresh };
  },
};

/** Updates to a loss at a batch under one set of constants, by secant steps in logs; NaN if never. */
export function stepsTo(member, c, o, params, loss, batchTokens) {
  const x = [], at = (name) => member.columns.indexOf(name);
  x[at("params_nonembed")] = params;
  x[at("batch_tokens")] = batchTokens;
  const place = at("step"), lossAt = (log) => { x[place] = Math.exp(log); return member.value(c, o, x); };
  const floor = lossAt(Math.log(1e30));
  if (!(floor < loss)) return NaN;
  // The excess over the floor is nearly a power of the steps: secants in its log close in fast.
  const gap = (log) => Math.log(Math.max(lossAt(log) - floor, 1e-300)) - Math.log(loss - floor);
  let low = 0, high = Math.log(1e30), a = Math.log(1e3), fa = gap(a), b = a + fa, fb = gap(b);
  for (let k = 0; k < STEPS && Math.abs(fb) > 1e-11; k++) {
    if (fb > 0) low = Math.max(low, b); else high = Math.min(high, b);
    let next = b - (fb * (b - a)) / (fb - fa);
    if (!(next > low && next < high)) next = (low + high) / 2;
    [a, fa, b] = [b, fb, next];
    fb = gap(b);
  }
  return Math.exp(b);
}

function least(member, c, o, state) {
  const ends = { steps: stepsTo(member, c, o, state.t_params, state.b_loss, ENDLESS), tokens: 0, critical: 0 };
  ends.tokens = stepsTo(member, c, o, state.t_params, state.b_loss, 1e-6) * 1e-6;
  ends.critical = ends.tokens / ends.steps;
  return ends;
}

function between(values, level) {
  const sorted = values.filter((v) => !Number.isNaN(v)).sort((a, b) => a - b), last = sorted.length - 1;
  return [sorted[Math.floor(((1 - level) / 2) * last)], sorted[Math.ceil(((1 + level) / 2) * last)]];
}

function trade(ctx, state) {
  const [member] = ctx.mix.predict.members, centre = least(member, member.theta, 0, state);
  if (!Number.isFinite(centre.steps)) {
    const x = []; x[member.columns.indexOf("params_nonembed")] = state.t_params; x[member.columns.indexOf("batch_tokens")] = state.t_batch; x[member.columns.indexOf("step")] = 1e30;
    return { said: `${count(state.t_params)} params never reach ${lossText(state.b_loss)} nats/token: their floor is ${lossText(member.value(member.theta, 0, x))}.` };
  }
  const draws = member.drawn ? Array.from({ length: member.count }, (_, i) => least(member, member.draws, i * member.width, state)) : [];
  const span = (name) => { const [low, high] = between(draws.map((d) => d[name]), state.level); return `${count(low)} to ${count(high)}`; };
  const told = (name) => `${count(centre[name])}${draws.length ? ` (${levelText(state.level)} of the resamples ${span(name)})` : ""}`;
  const here = stepsTo(member, member.theta, 0, state.t_params, state.b_loss, state.t_batch), spent = here * state.t_batch;
  const x = Array.from({ length: BATCHES }, (_, k) => centre.critical * 10 ** (3 * ((2 * k) / (BATCHES - 1) - 1)));
  const steps = x.map((b) => stepsTo(member, member.theta, 0, state.t_params, state.b_loss, b));
  return {
    said: `At ${lossText(state.b_loss)} nats/token the critical batch is ${told("critical")} tokens; at batches of ${count(state.t_batch)} the loss takes ${count(here)} updates and ${count(spent)} tokens.`,
    facts: [["critical batch", `${told("critical")} tokens`], ["fewest updates", told("steps")], ["fewest tokens", told("tokens")],
      ["this batch", `${number(here / centre.steps, 3)} times the fewest updates, ${number(spent / centre.tokens, 3)} times the fewest tokens`]],
    spec: {
      id: "batch-trade", title: `Updates and tokens to ${lossText(state.b_loss)} nats/token`,
      conclusion: `Below ${count(centre.critical)} tokens per batch tokens hardly fall any more, above it updates hardly do: there both are twice their least.`,
      x: { title: "batch", unit: "tokens", scale: "log", format: "count" }, y: { title: "times the least", scale: "log", format: "number", domain: [1, 30] },
      series: [{ mark: "line", x, y: steps.map((s) => s / centre.steps), group: "updates", label: "updates (time)" },
        { mark: "line", x, y: steps.map((s, i) => (s * x[i]) / centre.tokens), group: "tokens", label: "tokens (compute)", dashed: true },
        { mark: "points", x: [state.t_batch, state.t_batch], y: [here / centre.steps, spent / centre.tokens], group: "here", label: "you are here", role: "reference", radius: 6 }],
    },
  };
}
