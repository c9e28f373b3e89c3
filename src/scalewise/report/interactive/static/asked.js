// Where questions about each input start, and how far they may go.

import { count, flops, number } from "./numbers.js";

// What is usual where no runs say it.
const USUAL = {
  params: [1e8, 1e11], params_nonembed: [1e8, 1e11], params_active: [1e8, 1e11], tokens: [1e10, 1e13], tokens_unique: [1e10, 1e13],
  flops: [1e20, 1e25], step: [1e4, 1e6], steps: [1e4, 1e6], steps_min: [1e4, 1e6], batch_tokens: [1e5, 1e7],
  loss: [2, 4], tokens_per_param: [5, 500], epochs: [1, 10], lr_peak: [1e-4, 1e-2],
};
const NEAR = ["loss", "tokens_per_param", "epochs", "lr_peak", "lr"]; // that no plan moves by decades
const FORMS = { flops, loss: (v) => number(v, 4), lr_peak: (v) => number(v, 3), lr: (v) => number(v, 3) };

/** The ends of a slider for one input, where it starts, and how it is written. */
export function asked(name, ranges) {
  const known = ranges[name], [low, high] = known || USUAL[name] || [1, 1e12], near = NEAR.includes(name);
  const start = known && !near ? 3 * high : Math.sqrt(low * high);
  return {
    low: low / (near ? 5 : 1e4), high: high * (near ? 5 : 1e6), start: Number(start.toPrecision(2)),
    format: FORMS[name] || count,
  };
}
