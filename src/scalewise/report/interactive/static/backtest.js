// The leaderboard: every law fitted to the smaller runs and asked for the larger ones.

import { chart } from "./chart.js";
import { menu } from "./controls.js";
import { absent, el, notes } from "./dom.js";
import { counted, levelText, percent } from "./numbers.js";
import { table } from "./table.js";

export const backtest = {
  key: "backtest", letter: "l", title: "Backtest",
  build(ctx) {
    const tested = ctx.data.backtest;
    if (!tested) return { element: absent("The laws were not backtested in this page.", "A report on a run table holds the backtest.", "scalewise report RUNS --out report.html") };
    const level = levelText(tested.level);
    const ranked = tested.scores.filter((s) => s.held), best = ranked[0];
    const board = table({
      id: "leaderboard", title: "Leaderboard", caption: `Held-out runs over ${counted(tested.splits, "split")}; coverage should be near ${level}`,
      columns: [{ name: "law", format: "text" }, { name: "mean error", format: "percent" }, { name: "worst", format: "signed-percent" }, { name: "bias", format: "signed-percent" },
        { name: "coverage", format: "percent" }, { name: "interval width", format: "percent" }, { name: "held-out runs", format: "integer" }, { name: "status", format: "text" }],
      rows: tested.scores.map((s) => [s.law, s.error, s.worst, s.bias, s.coverage, s.width, s.held, s.status]),
      mark: (row) => (row[0] === tested.recommended ? "recommended" : null),
    });
    const said = best ? `${best.law} forecast the held-out larger runs best, to ${percent(best.error)} on average; recommended: ${tested.recommended}.` : "No law could be scored.";
    const element = el("div", {}, el("p", { class: "conclusion" }, said), notes("Caveats", tested.warnings), ctx.block(board, "Backtest"));
    if (!ranked.length) return { element };
    let chosen = ranked.find((s) => s.law === tested.recommended) || best;
    const drawn = chart(heldOut(chosen, level));
    const pick = menu("Law", ranked.map((s) => [s.law, s.law]), () => chosen.law, (law) => { chosen = ranked.find((s) => s.law === law); drawn.update(heldOut(chosen, level)); });
    pick.refresh();
    element.append(pick.element, ctx.block(drawn, "Backtest"));
    return { element };
  },
};

function heldOut(score, level) {
  const x = score.points.map((p) => p[1]), off = (value, p) => value / p[2] - 1, inside = score.points.filter((p) => p[4] <= p[2] && p[2] <= p[5]).length;
  const banded = score.coverage !== null;
  return {
    id: "held-out", title: `Held-out forecasts of ${score.law}`,
    conclusion: `${counted(score.points.length, "forecast")}, ${percent(score.bias, true)} off on average${banded ? `; ${inside} of the ${level} intervals hold the measured loss` : ""}.`,
    x: { title: "compute of the held-out run", unit: "FLOP", scale: "log", format: "flops" }, y: { title: "forecast against measured", scale: "linear", format: "signed-percent" },
    series: [{ mark: "line", x: [Math.min(...x), Math.max(...x)], y: [0, 0], group: "measured", label: "measured", role: "reference" },
      { mark: banded ? "intervals" : "points", x, y: score.points.map((p) => off(p[3], p)), ...(banded ? { low: score.points.map((p) => off(p[4], p)), high: score.points.map((p) => off(p[5], p)) } : {}), names: score.points.map((p) => p[0]), group: "forecast", label: banded ? `forecast, ${level}` : "forecast" }],
  };
}
