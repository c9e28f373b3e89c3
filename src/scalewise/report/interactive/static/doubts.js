// What is wrong with an answer whatever its interval says, in the sentences that Python tells.

import { count, counted, factor, number } from "./numbers.js";
import { derived, reach } from "./predict.js";

const short = (value) => (value < 1000 ? number(value, 3) : count(value));

/** The columns that an answer may be far off in: with those that no law behind it need know. */
export function heard(given) {
  const columns = derived(given);
  return columns.params > 0 && columns.tokens > 0 ? { ...columns, tokens_per_param: columns.tokens / columns.params } : columns;
}

/** How far an answer lies outside the runs or the published ranges behind it. */
export function reachTold({ fit }, given, ranges = fit.ranges) {
  const [column, far] = reach(ranges, given)[0] || ["", 1], where = far > 1 ? `${factor(far)} in ${column}` : "×1 (inside the fitted range)";
  if (fit.runs) return `extrapolation ${where}, from ${counted(fit.runs, "run")}`;
  if (!column) return "extrapolation unknown, from published constants without runs";
  return `extrapolation ${far > 1 ? where : "×1 (inside the range of their runs)"}, from published constants`;
}

/** Doubts at one predicted value, asked for at columns by name. */
export function doubtsAt({ fit, doubts }, value, given = {}) {
  const columns = heard(given), { guess, unheard } = doubts, said = [];
  if (fit.quantity === "loss" && value > guess.above) said.push(guess.said.join(number(value, 3)));
  for (const { column, range: [low, high], apart, said: around } of unheard) {
    const asked = columns[column];
    if (asked > 0 && Math.max(asked / high, low / asked) >= apart) said.push(around.join(short(asked)));
  }
  return said;
}
