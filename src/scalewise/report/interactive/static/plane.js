// The compute plane: which models reach which loss, and where the best of each budget lie.

import { chart } from "./chart.js";
import { absent, el, unfitted } from "./dom.js";
import { count, flops, levelText, loss as lossText } from "./numbers.js";
import { answer, lossTold } from "./what_if.js";

export const plane = {
  key: "plane", letter: "p", title: "Compute plane",
  build(ctx) {
    if (!ctx.data.plane) {
      if (!ctx.data.fit) return { element: unfitted(ctx.data) };
      return { element: absent(`This fit of ${ctx.data.fit.key} does not tell how to trade size against tokens, so there is no plane to draw.`, "Fit a law in both on runs that vary both.", "scalewise fit RUNS --law chinchilla --out fit.json") };
    }
    const drawn = chart(spec(ctx)), split = chart(ratio(ctx));
    const element = el("div", {}, ctx.block(drawn, "Compute plane"), ctx.block(split, "Compute plane"));
    return { element, changed: () => { drawn.update(spec(ctx)); split.update(ratio(ctx)); } };
  },
};

function spec(ctx) {
  const found = answer(ctx), { plane: data, fit } = ctx.data, size = data.size;
  const ends = [data.flops[0], data.flops.at(-1)], domain = [0.2 * Math.min(...data.params.value, found.params), 5 * Math.max(...data.params.value, found.params)];
  const tokens = [0.2 * Math.min(...data.tokens.value, found.tokens), 5 * Math.max(...data.tokens.value, found.tokens)];
  return {
    id: "compute-plane", title: "Loss over size and tokens",
    conclusion: `The best models of ${flops(ends[0])} to ${flops(ends[1])} FLOP have ${count(data.params.value[0])} to ${count(data.params.value.at(-1))} ${size}; you are at ${count(found.params)} and ${count(found.tokens)} tokens, ${lossTold(ctx, found)}.`,
    height: 400, x: { title: size, scale: "log", format: "count", domain }, y: { title: "tokens", scale: "log", format: "count", domain: tokens },
    series: [
      ...isoFlop(ends, domain), ...data.contours.map((line, i) => contour(line, i, data.contours.length)),
      ...(ctx.drawn ? [{ mark: "band", x: data.params.value, y: data.tokens.value, low: data.params.low, high: data.params.high, spans: "x", group: "frontier" }] : []),
      { mark: "line", x: data.params.value, y: data.tokens.value, label: ctx.drawn ? `frontier, ${levelText(ctx.data.level)}` : "frontier", group: "frontier" },
      ...runs(fit, size),
      { mark: "points", x: [found.params], y: [found.tokens], label: "you are here", group: "here", role: "reference", radius: 7 },
    ],
  };
}

function isoFlop([low, high], domain) {
  const first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high)), step = Math.max(1, Math.ceil((last - first) / 6));
  const out = [];
  for (let power = first; power <= last; power += step) {
    out.push({ mark: "line", ...isoLine(10 ** power, domain), group: "equal compute", role: "quiet", dashed: true, label: out.length ? "" : "equal compute", tag: `1e${power} FLOP`, tagAt: "start", names: Array(33).fill(`1e${power} FLOP`) });
  }
  return out;
}

/** Points close enough that one of them lies inside the plot, to carry the line's name. */
function isoLine(flops, [low, high]) {
  const x = Array.from({ length: 33 }, (_, k) => low * (high / low) ** (k / 32));
  return { x, y: x.map((n) => flops / (6 * n)) };
}

function contour(line, i, all) {
  return { mark: "line", x: line.params, y: line.tokens, group: `loss ${line.loss}`, label: i ? "" : "equal loss, in nats/token", tag: `loss ${line.loss}`, shade: all > 1 ? 1 - i / (all - 1) : 0.5, names: line.params.map(() => `loss ${line.loss}`) };
}

function runs(fit, size) {
  const found = fit.residuals;
  if (!found || !found.columns[size] || !found.columns.tokens) return [];
  const logs = found.observed.map(Math.log), low = Math.min(...logs), high = Math.max(...logs);
  return [{
    mark: "points", x: found.columns[size], y: found.columns.tokens, label: "runs, darker is lower", group: "runs",
    shades: logs.map((v) => (high > low ? (v - low) / (high - low) : 0.5)),
    names: found.runs.map((name, i) => `${name}, loss ${lossText(found.observed[i])}`),
  }];
}

function ratio(ctx) {
  const { plane: data, fit } = ctx.data, found = answer(ctx);
  const per = (size) => size.map((n, i) => data.flops[i] / (6 * n * n));
  const value = per(data.params.value);
  const low = per(data.params.high), high = per(data.params.low);
  return {
    id: "tokens-per-param", title: "Tokens per parameter by compute",
    conclusion: trend(value, low, high, ctx.drawn ? levelText(ctx.data.level) : ""),
    x: { title: "compute", unit: "FLOP", scale: "log", format: "flops" }, y: { title: "tokens per param", scale: "log", format: "count" },
    beyond: fit.ranges.flops ? fit.ranges.flops[1] : undefined,
    series: [
      ...(ctx.drawn ? [{ mark: "band", x: data.flops, y: value, low, high, group: "best" }] : []),
      { mark: "line", x: data.flops, y: value, label: "best split", group: "best" },
      { mark: "points", x: [found.training], y: [found.tokens / found.params], label: "you are here", group: "here", role: "reference", radius: 6 },
    ],
  };
}

/** Where the best ratio goes along compute, and whether one ratio fits the intervals all along. */
function trend(value, low, high, level) {
  const told = (i) => `${count(value.at(i))}${level ? ` (${count(low.at(i))} to ${count(high.at(i))})` : ""}`, change = value.at(-1) / value[0];
  if (change < 1.3 && change > 0.77) return `The best ratio stays near ${told(-1)} tokens per parameter${level ? `, ${level} interval` : ""}.`;
  const least = Math.max(...low), most = Math.min(...high);
  const open = least < most ? `; a ratio of ${count(least)} to ${count(most)} lies in all of them, so the runs leave open whether it moves` : "";
  return `The best ratio ${change > 1 ? "rises" : "falls"} from ${told(0)} to ${told(-1)} with compute${level ? `, ${level} intervals${open}` : ""}.`;
}
