// Downstream tasks: error by measured loss, and the error that more compute would bring.

import { chart } from "./chart.js";
import { absent, el, notes } from "./dom.js";
import { counted, flops, levelText, number, percent } from "./numbers.js";
import { table } from "./table.js";

export const downstream = {
  key: "downstream", letter: "d", title: "Downstream",
  build(ctx) {
    const tasks = ctx.data.tasks || [];
    if (!tasks.length) return { element: absent("The fit has no downstream task.", "Fit with columns of error or accuracy in [0, 1].", "scalewise fit RUNS --task acc_arc_easy --out fit.json") };
    const columns = [{ name: "task", format: "text" }, { name: "law", format: "code" }, { name: "scatter", format: "percent" }, { name: "runs", format: "integer" }, { name: "doubts", format: "text" }];
    const made = table({ id: "tasks", title: "Tasks", columns, rows: tasks.map((t) => [t.name, t.formula, t.noise, t.runs, t.warnings.join(" ")]) });
    return { element: el("div", {}, el("p", { class: "conclusion" }, `${counted(tasks.length, "task")} by loss, from measured losses to forecast error.`), ctx.block(made, "Downstream"),
      tasks.map((task) => el("div", {}, el("h3", {}, task.name), notes("Caveats", task.warnings), el("div", { class: "grid" },
        ctx.block(chart(byLoss(ctx, task)), "Downstream"), task.ahead ? ctx.block(chart(byCompute(ctx, task)), "Downstream") : null)))) };
  },
};

function byLoss(ctx, task) {
  const { curve } = task, level = levelText(ctx.data.level);
  const ends = [Math.min(...curve.loss), Math.max(...curve.loss)];
  const line = (y, label) => ({ mark: "line", x: ends, y: [y, y], group: label, label, role: "quiet", dashed: true });
  return {
    id: `task-${task.name}`, title: `Error in ${task.name} by loss`,
    conclusion: `Runs scatter by ${number(task.noise, 2)} around the law; below a loss of ${number(task.fitted[0], 4)} it is a forecast, not a measurement.`,
    x: { title: "loss", unit: "nats/token", scale: "linear", format: "number" }, y: { title: "error", scale: "linear", format: "percent" },
    series: [{ mark: "band", x: curve.loss, y: curve.value, low: curve.low, high: curve.high, group: "law" }, { mark: "line", x: curve.loss, y: curve.value, group: "law", label: `law, ${level}` },
      { mark: "points", x: task.loss, y: task.error, group: "runs", label: "runs" }, ...(task.chance ? [line(task.chance, "guessing")] : [])],
  };
}

function byCompute(ctx, task) {
  const { ahead } = task, last = ahead.value.length - 1;
  return {
    id: `ahead-${task.name}`, title: `Error in ${task.name} by compute`,
    conclusion: `Spent best, ${flops(ahead.flops[last])} FLOP come to an error of ${percent(ahead.value[last])} (${percent(ahead.low[last])} to ${percent(ahead.high[last])}).`,
    x: { title: "compute", unit: "FLOP", scale: "log", format: "flops" }, y: { title: "error", scale: "linear", format: "percent" },
    beyond: ctx.data.fit.ranges.flops ? ctx.data.fit.ranges.flops[1] : undefined,
    series: [{ mark: "band", x: ahead.flops, y: ahead.value, low: ahead.low, high: ahead.high, group: "ahead" }, { mark: "line", x: ahead.flops, y: ahead.value, group: "ahead", label: `forecast, ${levelText(ctx.data.level)}` }],
  };
}
