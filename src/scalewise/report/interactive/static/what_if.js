// What a budget buys: the best model, its loss, how long it takes and what it costs.

import { asked } from "./asked.js";
import { menu, radios, slider } from "./controls.js";
import { copyText } from "./copying.js";
import { chart } from "./chart.js";
import { doubtsAt, heard, reachTold } from "./doubts.js";
import { button, el, facts, notes, unfitted } from "./dom.js";
import { count, counted, duration, factor, flops, levelText, listed, loss as lossText, number } from "./numbers.js";
import { allocate, bestSize, predict, reach, solve, splitAt, tokensAt, valueAt, withUnique } from "./predict.js";

const DAY = 86400, HOUR = 3600;
const FAR = 10; // extrapolation that a reader is warned of
const LEAST_FLOPS = 1e9, MOST_FLOPS = 1e33; // between which a budget for a loss is searched
const AROUND = 41, POINTS_PER_DECADE = 4;

/** Answers what is asked: all numbers of the screen at one state. */
export function answer(ctx, state = ctx.state.values) {
  const { trade, size, unique } = ctx.mix;
  const chip = ctx.data.accelerators.find((one) => one.key === state.gpu) || ctx.data.accelerators[0];
  const perChip = chip.peak * state.mfu, perDay = perChip * DAY * state.gpus;
  const rules = { flops: state.flops, inference: state.inference, cap: state.cap || (unique ? 1e12 : 0), unique };
  if (state.budget === "gpus") rules.flops = perDay * state.days;
  if (state.budget === "money") rules.flops = (state.money / state.price) * HOUR * perChip;
  let split, held = "";
  if (state.hold === "params") split = splitAt(trade, size, state.params, rules, state.level);
  else if (state.hold === "tokens") {
    const params = rules.flops / (6 * state.tokens + 2 * state.inference);
    split = { params, tokens: state.tokens, loss: predict(trade, withUnique({ [size]: params, tokens: state.tokens }, rules), state.level) };
  } else {
    if (state.hold === "loss") {
      const found = computeFor(ctx, rules, state.target);
      if (found > 0.9 * MOST_FLOPS) held = `No budget reaches ${lossText(state.target)} nats/token.`;
      else if (found < 1.1 * LEAST_FLOPS) held = `${flops(LEAST_FLOPS)} FLOP is more than a loss of ${lossText(state.target)} nats/token takes.`;
      if (!held) rules.flops = found;
    }
    split = allocate(trade, size, rules, state.level);
  }
  const training = 6 * split.params * split.tokens, serving = 2 * split.params * state.inference;
  const hours = training / perChip / HOUR;
  return {
    ...split, rules, chip, training, serving, hours, held,
    days: training / perDay, cost: hours * state.price, possible: split.tokens >= 1,
    needed: Math.ceil(training / (perChip * DAY * state.days)),
    asked: { [size]: split.params, tokens: split.tokens, flops: training },
  };
}

function computeFor(ctx, rules, target) {
  const { trade, size } = ctx.mix;
  const best = (budget) => {
    const own = { ...rules, flops: budget }, params = Math.exp(bestSize(trade, size, own));
    return valueAt(trade, withUnique({ [size]: params, tokens: tokensAt(params, own) }, own));
  };
  return solve(best, target, LEAST_FLOPS, MOST_FLOPS, -1);
}

export const whatIf = {
  key: "what-if", letter: "w", title: "What if",
  build(ctx) {
    if (!ctx.mix) return { element: unfitted(ctx.data) };
    return ctx.mix.trade ? splitting(ctx) : plain(ctx);
  },
};

function splitting(ctx) {
  const { state } = ctx;
  const controls = controlsOf(ctx);
  const tiles = el("div", { class: "tiles" }), said = el("p", { class: "conclusion", id: "answer" });
  const doubts = el("div"), charts = el("div");
  let curve = null, sizes = null;
  const element = el("div", { class: "split" },
    el("form", { class: "panel", "aria-label": "What is asked", onsubmit: (event) => event.preventDefault() }, controls.map((control) => control.element),
      button("Copy link to this answer", () => copyText((location.protocol === "about:" ? "" : location.href.split("#")[0]) + state.link, "the link", "link.txt"))),
    el("div", { class: "answers" }, said, tiles, doubts, charts));

  function refresh() {
    controls.forEach((control) => control.refresh());
    const found = answer(ctx), values = state.values;
    said.textContent = sentence(ctx, found);
    tiles.replaceChildren(...(found.possible ? tilesOf(ctx, found, values) : []));
    doubts.replaceChildren(notes("Caveats", found.possible ? doubtsOf(ctx, found, values) : []) || "");
    charts.hidden = !found.possible;
    if (!found.possible) return;
    const drawn = [ctx.data.plane ? along(ctx, found) : null, bySize(ctx, found)];
    if (!sizes) {
      if (drawn[0]) charts.append(ctx.block(curve = chart(drawn[0]), "What if"));
      charts.append(ctx.block(sizes = chart(drawn[1]), "What if"));
    } else {
      if (curve) curve.update(drawn[0]);
      sizes.update(drawn[1]);
    }
  }
  refresh();
  return { element, changed: refresh };
}

function controlsOf(ctx) {
  const { state } = ctx, v = () => state.values, set = (key) => (value) => state.set({ [key]: value });
  const log = (key, label, unit, low, high, more = {}) => slider({ label, unit, low, high, get: () => v()[key], set: set(key), ...more });
  return [
    radios("Budget from", [["flops", "compute"], ["gpus", "GPUs and days"], ["money", "money"]], () => v().budget, set("budget")),
    radios("Hold", [["", "nothing: best split"], ["params", "size"], ["tokens", "tokens"], ["loss", "loss"]], () => v().hold, set("hold")),
    log("flops", "Compute", "FLOP", 1e14, 1e28, { format: flops, hidden: () => v().budget !== "flops" || v().hold === "loss" }),
    log("money", "Money", "the price's currency", 1, 1e10, { hidden: () => v().budget !== "money" || v().hold === "loss" }),
    log("params", `Size (${ctx.mix.size})`, "", 1e4, 1e13, { hidden: () => v().hold !== "params" }),
    log("tokens", "Tokens", "", 1e6, 1e15, { hidden: () => v().hold !== "tokens" }),
    log("target", "Loss to reach", "nats/token", 0.5, 8, { format: (value) => number(value, 4), hidden: () => v().hold !== "loss" }),
    menu("GPU", ctx.data.accelerators.map((chip) => [chip.key, chip.name]), () => v().gpu, set("gpu")),
    log("gpus", "GPUs", "", 1, 1e5, { whole: true }),
    log("days", "Deadline", "days", 0.1, 1000, { format: (value) => number(value, 3) }),
    log("mfu", "Utilisation (MFU)", "of peak", 0.05, 1, { format: (value) => number(value, 3), most: 1 }),
    log("price", "Price", "per GPU-hour", 0.1, 100, { format: (value) => number(value, 3) }),
    log("inference", "Tokens served over its life", "", 1e6, 1e16, { zero: true, none: "none" }),
    log("cap", ctx.mix.unique ? "Unique tokens there are" : "Tokens there are", "", 1e6, 1e15, { zero: true, none: "no limit" }),
    menu("Interval", ctx.data.levels.map((level) => [String(level), levelText(level)]), () => v().level, (value) => state.set({ level: Number(value) })),
  ];
}

const money = (value) => (value >= 1000 ? count(value) : value >= 0.1 ? value.toFixed(2) : number(value, 2));

const band = (ctx, text, low, high) => (ctx.drawn ? `${text(low)} to ${text(high)}` : "no interval: no resamples behind it");

/** The loss of an answer with its interval, where one is known. */
export function lossTold(ctx, { loss: { value, low, high } }) {
  const interval = ctx.drawn ? ` (${levelText(ctx.state.values.level)} interval ${lossText(low)} to ${lossText(high)})` : "";
  return `${lossText(value)} nats/token${interval}`;
}

function sentence(ctx, found) {
  const { values } = ctx.state;
  if (!found.possible) return "This budget does not serve so many tokens and train a model of that size as well.";
  const cheapest = values.hold === "loss" ? `The cheapest way to ${lossText(values.target)} nats/token is ` : "";
  const what = found.held ? `${found.held} The budget of ${flops(found.rules.flops)} FLOP buys ` : cheapest;
  return `${what}${count(found.params)} params on ${count(found.tokens)} tokens: loss ${lossTold(ctx, found)}, `
    + `${duration(found.days)} on ${values.gpus} × ${found.chip.name}, ${money(found.cost)} in all at ${number(values.price, 3)} per GPU-hour; ${reachTold(ctx.data, found.asked)}.`;
}

function tilesOf(ctx, found, values) {
  const { size } = ctx.mix, interval = found.size;
  const tile = (name, value, under) => el("div", { class: "tile" }, el("div", { class: "name" }, name), el("div", { class: "value" }, value), el("div", { class: "under" }, under));
  const late = found.days > values.days;
  return [
    tile(size, count(found.params), interval ? band(ctx, count, interval.low, interval.high) : "held or from what is held"),
    tile("tokens", count(found.tokens), `${number(found.tokens / found.params, 3)} per param`),
    tile("loss", lossText(found.loss.value), band(ctx, lossText, found.loss.low, found.loss.high)),
    tile("compute", flops(found.training), found.serving ? `FLOP, and ${flops(found.serving)} to serve` : "FLOP, 6ND"),
    tile("time", duration(found.days), late ? `late: ${counted(found.needed, "GPU")} for ${duration(values.days)}` : `within ${duration(values.days)}`),
    tile("cost", money(found.cost), `${count(found.hours)} GPU-hours at ${number(values.price, 3)}`),
  ];
}

function doubtsOf(ctx, found, values) {
  const said = [], [column, far] = reach(ctx.data.fit.ranges, found.asked)[0] || ["", 1];
  const { fit, split } = ctx.data.doubts;
  said.push(...doubtsAt(ctx.data, found.loss.value));
  if (far > FAR) said.push(beyond(ctx, column, far));
  else if (!ctx.data.fit.runs) said.push("Published constants without their runs: no interval is known, nor how far this extrapolates.");
  if (found.days > values.days) said.push(`${duration(found.days)} is past the deadline of ${duration(values.days)}; ${counted(found.needed, "GPU")} would meet it.`);
  if (values.cap && !ctx.mix.unique && found.tokens >= values.cap * 0.999) said.push(`All ${count(values.cap)} tokens are used: the rest of the budget went into size.`);
  const wrong = ctx.data.runs ? ctx.data.runs.findings.filter((one) => one.severity === "error").map((one) => one.name) : [];
  if (wrong.length) said.push(`The runs have what makes a fit wrong (${listed(wrong)}): see Runs and health before this is relied on.`);
  if (values.inference) said.push("The budget pays for training and for serving together, 6ND and 2ND.");
  return [...said, ...(["", "loss"].includes(values.hold) ? split : []), ...fit];
}

/** How far is asked beyond the runs, and how far backtests have tried that. */
function beyond(ctx, column, far) {
  const { reach: tried } = ctx.data.backtest || {};
  return `This is ${factor(far)} beyond the fitted runs in ${column}, and its interval assumes that the law goes on unchanged`
    + `${tried ? `; backtests tried it up to ${factor(tried)} in flops` : ""}.`;
}

function here(x, y, found, name) {
  return { mark: "intervals", x: [x], y: [y], low: [found.loss.low], high: [found.loss.high], label: name, group: name, role: "reference", radius: 6 };
}

/** Loss of the best split, from the smallest run to beyond the budget asked about; kept by range. */
function frontier(ctx, budget, cap) {
  const { plane } = ctx.data, { level } = ctx.state.values, last = plane.flops.at(-1), first = plane.flops[0];
  const top = budget > last ? 10 ** Math.ceil(Math.log10(1.5 * budget)) : last;
  const known = level === ctx.data.level && !cap, name = `${top} ${level} ${cap}`;
  if (known && top === last) return { flops: plane.flops, ...plane.loss };
  if (!ctx.frontiers.has(name)) {
    const from = known ? last : first, steps = Math.max(4, Math.ceil(POINTS_PER_DECADE * Math.log10(top / from)));
    const budgets = Array.from({ length: steps }, (_, k) => from * (top / from) ** ((k + 1) / steps));
    const all = budgets.map((flops) => {
      const rules = { flops, cap };
      return splitAt(ctx.mix.trade, ctx.mix.size, Math.exp(bestSize(ctx.mix.trade, ctx.mix.size, rules)), rules, level).loss;
    });
    const begun = known ? plane.loss : { low: [], value: [], high: [] };
    const ends = ["low", "value", "high"].map((end) => [end, [...begun[end], ...all.map((one) => one[end])]]);
    ctx.frontiers.set(name, { flops: [...(known ? plane.flops : []), ...budgets], ...Object.fromEntries(ends) });
  }
  return ctx.frontiers.get(name);
}

function along(ctx, found) {
  const { fit } = ctx.data, line = frontier(ctx, found.training, ctx.state.values.cap), level = levelText(ctx.state.values.level);
  const label = ctx.drawn ? `best split, ${level}` : "best split";
  return {
    id: "loss-by-compute", title: "Loss by compute",
    conclusion: `${flops(found.training)} FLOP spent so come to ${lossTold(ctx, found)}; tenfold compute, spent best, lowers that by ${lossText(tenfold(ctx, found))}; ${reachTold(ctx.data, found.asked)}.`,
    x: { title: "compute", unit: "FLOP", scale: "log", format: "flops" }, y: { title: "loss", unit: "nats/token", scale: "log", format: "loss" },
    beyond: fit.ranges.flops ? fit.ranges.flops[1] : undefined,
    series: [
      ...(ctx.drawn ? [{ mark: "band", x: line.flops, y: line.value, low: line.low, high: line.high, group: "best" }] : []),
      { mark: "line", x: line.flops, y: line.value, label, group: "best" },
      ...observed(ctx),
      here(found.training, found.loss.value, found, "you are here"),
    ],
  };
}

function observed(ctx) {
  const found = ctx.data.fit.residuals;
  if (!found || !found.columns.flops || ctx.data.fit.quantity !== "loss") return [];
  return [{ mark: "points", x: found.columns.flops, y: found.observed, names: found.runs, label: "runs", group: "runs", role: "quiet" }];
}

function tenfold(ctx, found) {
  const { trade, size } = ctx.mix, rules = { ...found.rules, flops: 10 * found.rules.flops }, params = Math.exp(bestSize(trade, size, rules));
  return found.loss.value - valueAt(trade, withUnique({ [size]: params, tokens: tokensAt(params, rules) }, rules));
}

function bySize(ctx, found) {
  const { trade, size } = ctx.mix, { rules } = found, { level } = ctx.state.values;
  const centre = Math.log(found.params), x = [], line = [], low = [], high = [];
  for (let k = 0; k < AROUND; k++) {
    const params = Math.exp(centre + Math.log(20) * ((2 * k) / (AROUND - 1) - 1));
    if (tokensAt(params, rules) < 1) continue;
    const at = splitAt(trade, size, params, rules, level).loss;
    if (!(at.value < 3 * found.loss.value)) continue;
    x.push(params); line.push(at.value); low.push(at.low); high.push(at.high);
  }
  const spread = x.filter((_, i) => line[i] <= found.loss.value * 1.01);
  const flat = spread.length ? `Sizes from ${count(spread[0])} to ${count(spread.at(-1))} are within 1% of its loss.` : "";
  return {
    id: "loss-by-size", title: "Loss by size at this budget",
    conclusion: `${flops(rules.flops)} FLOP at ${count(found.params)} ${size}: ${lossTold(ctx, found)}. ${flat}`.trim(),
    x: { title: size, unit: "", scale: "log", format: "count" }, y: { title: "loss", unit: "nats/token", scale: "log", format: "loss" },
    beyond: ctx.data.fit.ranges[size] ? ctx.data.fit.ranges[size][1] : undefined,
    series: [
      ...(ctx.drawn ? [{ mark: "band", x, y: line, low, high, group: "budget" }] : []),
      { mark: "line", x, y: line, label: "this budget", group: "budget" },
      here(found.params, found.loss.value, found, "you are here"),
    ],
  };
}

/** For laws that do not trade size against tokens: a prediction at given inputs. */
function plain(ctx) {
  const { state, data } = ctx, { fit } = data;
  const { columns } = ctx, said = el("p", { class: "conclusion", id: "answer" }), rest = el("div");
  const controls = columns.map((name) => {
    const { low, high, format } = asked(name, fit.ranges);
    return slider({ label: name, low, high, format, get: () => state.values[`x_${name}`], set: (value) => state.set({ [`x_${name}`]: value }) });
  });
  controls.push(menu("Interval", data.levels.map((level) => [String(level), levelText(level)]), () => state.values.level, (value) => state.set({ level: Number(value) })));
  let curve = null;
  const main = el("div", { class: "answers" }, said, rest);
  function refresh() {
    controls.forEach((control) => control.refresh());
    const given = Object.fromEntries(columns.map((name) => [name, state.values[`x_${name}`]]));
    const found = predict(ctx.mix.predict, given, state.values.level);
    const text = fit.quantity === "loss" || fit.quantity === "error" ? lossText : ["params", "tokens", "steps"].includes(fit.unit) ? count : (v) => number(v, 4);
    const interval = ctx.drawn ? `, ${levelText(state.values.level)} interval ${text(found.low)} to ${text(found.high)}` : "";
    said.textContent = `${fit.quantity[0].toUpperCase()}${fit.quantity.slice(1)} ${text(found.value)} ${fit.unit}${interval}, at ${columns.map((name) => `${name} ${asked(name, fit.ranges).format(given[name])}`).join(", ")}.`;
    const [column, far] = reach(fit.ranges, heard(given))[0] || ["", 1];
    rest.replaceChildren(facts([["why no split", `This fit of ${fit.key} does not tell how to split compute: fit a law in size and tokens, such as chinchilla, to runs that vary both.`],
      ["reach", reachTold(data, heard(given))]]),
      notes("Caveats", [...doubtsAt(data, found.value, given), ...(far > FAR ? [beyond(ctx, column, far)] : []), ...data.doubts.fit]) || "");
    const drawn = sweep(ctx, columns[0], given, found);
    if (curve) curve.update(drawn); else main.append(ctx.block(curve = chart(drawn), "What if"));
  }
  refresh();
  return { element: el("div", { class: "split" }, el("form", { class: "panel", "aria-label": "What is asked", onsubmit: (event) => event.preventDefault() }, controls.map((control) => control.element)), main), changed: refresh };
}

function sweep(ctx, name, given, found) {
  const { low, high, format } = asked(name, ctx.data.fit.ranges), span = Math.min(100, Math.sqrt(high / low));
  const x = Array.from({ length: AROUND }, (_, k) => given[name] * span ** ((2 * k) / (AROUND - 1) - 1));
  const all = x.map((value) => predict(ctx.mix.predict, { ...given, [name]: value }, ctx.state.values.level));
  const { fit } = ctx.data, ends = (key) => all.map((one) => one[key]);
  return {
    id: "prediction", title: `${fit.quantity[0].toUpperCase()}${fit.quantity.slice(1)} by ${name}`, conclusion: `At ${name} ${format(given[name])} the law gives ${number(found.value, 5)} ${fit.unit}.`,
    x: { title: name, scale: "log", format: name === "flops" ? "flops" : format === count ? "count" : "number" }, y: { title: fit.quantity, unit: fit.unit, scale: "log", format: "number" },
    beyond: fit.ranges[name] ? fit.ranges[name][1] : undefined,
    series: [...(ctx.drawn ? [{ mark: "band", x, y: ends("value"), low: ends("low"), high: ends("high"), group: "law" }] : []),
      { mark: "line", x, y: ends("value"), label: "law", group: "law" },
      { mark: "intervals", x: [given[name]], y: [found.value], low: [found.low], high: [found.high], label: "you are here", group: "here", role: "reference", radius: 6 }],
  };
}
