// Predictions with their intervals, as FitResult.predict makes them, and splits of compute.
//
// A mixture holds the laws that share in a prediction. Every draw of every law gives a value; the
// ends of the interval are weighted quantiles of these, widened by the noise of one run in
// quadrature, by what backtests found missing, and by the calibration.

import { EVALUATORS } from "./laws.js";

const GOLDEN = (Math.sqrt(5) - 1) / 2;
const PLACES = 40; // of log size that are looked at first: a law with kinks may have two valleys
const NARROWINGS = 34;

/** A mixture from its JSON: draws decoded, evaluators at hand. */
export function prepare(mixture) {
  if (!mixture) return null;
  const members = mixture.members.map((member) => {
    const theta = Float64Array.from(member.theta);
    const draws = member.draws ? decoded(member.draws) : theta;
    return {
      ...member, theta, draws, value: EVALUATORS[member.evaluator], width: theta.length,
      drawn: Boolean(member.draws), weight: member.share / member.count,
    };
  });
  return { ...mixture, members, shares: members.reduce((sum, m) => sum + m.share, 0) };
}

function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

/** Columns with those that follow from them: FLOP is 6ND. */
export function derived(given) {
  const columns = { ...given };
  if (columns.params > 0 && columns.tokens > 0) columns.flops ??= 6 * columns.params * columns.tokens;
  else if (columns.params > 0 && columns.flops > 0) columns.tokens ??= columns.flops / (6 * columns.params);
  if (columns.steps > 0) columns.step ??= columns.steps;
  return columns;
}

/** The value at columns by name, with the ends of its interval at a level. */
export function predict(mixture, given, level) {
  const columns = derived(given);
  const centres = [], samples = [];
  let centre = 0;
  for (const member of mixture.members) {
    const x = member.columns.map((name) => columns[name]);
    const own = onScale(member.value(member.theta, 0, x), member.inLogs);
    centres.push(own);
    samples.push(sampled(member, x, own));
    centre += member.share * own;
  }
  centre /= mixture.shares;
  const [low, high] = edges(mixture, samples, centre, String(level));
  const back = mixture.inLogs ? Math.exp : (v) => v;
  return { value: back(centre), low: back(low), high: back(high) };
}

/** The value alone, which takes no draws. */
export function valueAt(mixture, given) {
  const columns = derived(given);
  let centre = 0;
  for (const member of mixture.members) {
    const x = member.columns.map((name) => columns[name]);
    centre += member.share * onScale(member.value(member.theta, 0, x), member.inLogs);
  }
  centre /= mixture.shares;
  return mixture.inLogs ? Math.exp(centre) : centre;
}

function onScale(value, inLogs) {
  return inLogs ? Math.log(value) : value;
}

function sampled(member, x, centre) {
  if (!member.drawn) return Float64Array.of(centre);
  const out = new Float64Array(member.count);
  for (let i = 0; i < out.length; i++) {
    const value = onScale(member.value(member.draws, i * member.width, x), member.inLogs);
    out[i] = Number.isFinite(value) ? value : centre;
  }
  return out;
}

function edges(mixture, samples, centre, level) {
  const quantile = quantiles(mixture, samples);
  const [low, high] = stated(mixture, quantile, centre, level);
  if (mixture.exponent === null) return [centre - low, centre + high];
  const [below, above] = stated(mixture, quantile, centre, mixture.stated);
  const own = (below + above) / 2;
  const unit = mixture.inLogs ? 1 : Math.abs(centre);
  const half = mixture.levels[level].factor * Math.pow(own / unit, mixture.exponent) * unit;
  const shape = low + high > 0 ? (2 * half) / (low + high) : 0;
  return [centre - shape * low, centre + shape * high];
}

function stated(mixture, quantile, centre, level) {
  const at = mixture.levels[level];
  return [[at.low, at.zLow], [at.high, at.zHigh]].map(([probability, z]) =>
    mixture.spread * Math.hypot(quantile(probability) - centre, z * mixture.noise));
}

/** Weighted quantiles of samples that share a weight per member, in the order of a stable sort. */
function quantiles(mixture, samples) {
  const sorted = samples.map((values) => values.slice().sort());
  return (probability) => {
    const next = new Uint32Array(sorted.length);
    let sum = 0, first = NaN;
    for (;;) {
      let least = -1;
      for (let k = 0; k < sorted.length; k++) {
        if (next[k] < sorted[k].length && (least < 0 || sorted[k][next[k]] < sorted[least][next[least]])) least = k;
      }
      if (least < 0) return first;
      const value = sorted[least][next[least]++];
      if (Number.isNaN(first)) first = value;
      sum += mixture.members[least].weight;
      if (sum / mixture.total >= probability) return value;
    }
  };
}

/**
 * What a budget buys at a size: 6 N D for training and 2 N D_inf for serving.
 * `rules` are flops, inference (tokens served) and cap (tokens there are, unless `unique`).
 */
export function tokensAt(size, rules) {
  const tokens = rules.flops / (6 * size) - (rules.inference || 0) / 3;
  return rules.cap && !rules.unique ? Math.min(tokens, rules.cap) : tokens;
}

/** The split of a budget at which predicted loss is least, with intervals. */
export function allocate(mixture, size, rules, level) {
  const centre = bestSize(mixture, size, rules);
  const at = mixture.levels[String(level)];
  const samples = mixture.members.map((member) => {
    const find = finder(member, size, rules);
    const logs = new Float64Array(member.drawn ? member.count : 1);
    for (let i = 0; i < logs.length; i++) logs[i] = find(member.draws, i * member.width);
    return logs;
  });
  const quantile = quantiles(mixture, samples);
  const [low, high] = [at.low, at.high].map((p) => Math.exp(centre + mixture.spread * (quantile(p) - centre)));
  return { size: { value: Math.exp(centre), low, high }, ...splitAt(mixture, size, Math.exp(centre), rules, level) };
}

/** Log of the best size by the constants themselves. */
export function bestSize(mixture, size, rules) {
  let sum = 0;
  for (const member of mixture.members) sum += member.share * finder(member, size, rules)(member.theta, 0);
  return sum / mixture.shares;
}

/** Tokens and loss of one size within a budget. */
export function splitAt(mixture, size, params, rules, level) {
  const tokens = tokensAt(params, rules);
  const columns = withUnique({ [size]: params, tokens }, rules);
  return { params, tokens, loss: predict(mixture, columns, level) };
}

export function withUnique(columns, rules) {
  return rules.unique ? { ...columns, tokens_unique: rules.cap } : columns;
}

/** A search for the log size of least loss: the lowest of places, then golden section around it. */
function finder(member, size, rules) {
  const x = member.columns.map((name) => (name === "tokens_unique" ? rules.cap : 0));
  const sizeAt = member.columns.indexOf(size), tokensIn = member.columns.indexOf("tokens");
  const top = Math.log(rules.flops / 6 / (1 + (rules.inference || 0) / 3));
  return (c, o) => {
    const loss = (log) => {
      const params = Math.exp(log);
      x[sizeAt] = params;
      x[tokensIn] = tokensAt(params, rules);
      return member.value(c, o, x);
    };
    let best = 0, least = Infinity;
    const step = top / (PLACES - 1);
    for (let k = 0; k < PLACES - 1; k++) {
      const here = loss(k * step);
      if (here < least) { least = here; best = k; }
    }
    let low = Math.max(best - 1, 0) * step, high = (best + 1) * step;
    let left = high - GOLDEN * (high - low), right = low + GOLDEN * (high - low);
    let fl = loss(left), fr = loss(right);
    for (let k = 0; k < NARROWINGS; k++) {
      if (fl < fr) {
        high = right; right = left; fr = fl;
        left = high - GOLDEN * (high - low); fl = loss(left);
      } else {
        low = left; left = right; fl = fr;
        right = low + GOLDEN * (high - low); fr = loss(right);
      }
    }
    return (low + high) / 2;
  };
}

/** The factor by which columns leave the ranges of the fitted runs, the farthest first. */
export function reach(ranges, given) {
  const columns = derived(given);
  return Object.entries(ranges)
    .filter(([name]) => columns[name] > 0)
    .map(([name, [low, high]]) => [name, Math.max(columns[name] / high, low / columns[name], 1)])
    .sort((a, b) => b[1] - a[1]);
}

/** The x at which a rising (sign 1) or falling (-1) function of log x passes a value. */
export function solve(of, value, low, high, sign) {
  let a = Math.log(low), b = Math.log(high);
  for (let k = 0; k < 80; k++) {
    const middle = (a + b) / 2;
    if (sign * (of(Math.exp(middle)) - value) > 0) b = middle; else a = middle;
  }
  return Math.exp((a + b) / 2);
}
