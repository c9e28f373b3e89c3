// The page: its screens, the state they share, and the way from one to the other.

import { announce, button, el } from "./dom.js";
import { asked } from "./asked.js";
import { backtest } from "./backtest.js";
import { batch } from "./batch.js";
import { builder } from "./builder.js";
import { detailsOf } from "./details.js";
import { downstream } from "./downstream.js";
import { fit } from "./fit.js";
import { keyboard } from "./keys.js";
import { plane } from "./plane.js";
import { prepare } from "./predict.js";
import { runs } from "./runs.js";
import { stateOf } from "./state.js";
import { trajectory } from "./trajectory.js";
import { whatIf } from "./what_if.js";

const SCREENS = [whatIf, plane, fit, runs, trajectory, batch, downstream, backtest, builder];
const DAYS = 14, UTILISATION = 0.4;

/** Builds the page inside `root` from its data; `details` are the cards that need no script. */
export function mount(root, data, details = null) {
  const ctx = contextOf(data), built = new Map();
  const screens = [...SCREENS, ...(details ? [detailsOf(details)] : [])];
  const main = root.querySelector("#screen"), nav = root.querySelector("#screens");
  let current = null;

  const make = (screen) => {
    if (!built.has(screen.key)) {
      const one = { key: screen.key, stale: false, ...screen.build(ctx) };
      one.panel = el("section", { class: "screen", "aria-labelledby": `title-${screen.key}`, "data-screen": screen.key, hidden: true }, el("h2", { id: `title-${screen.key}`, tabindex: -1 }, screen.title), one.element);
      main.append(one.panel);
      built.set(screen.key, one);
    }
    return built.get(screen.key);
  };
  ctx.buildAll = () => { for (const screen of screens) if (screen !== builder) make(screen); };

  function go(key, place = "", focus = true) {
    const screen = screens.find((one) => one.key === key) || screens[0];
    ctx.state.go(screen.key);
    const one = make(screen);
    for (const other of built.values()) other.panel.hidden = other !== one;
    current = one;
    if (one.stale && one.changed) one.changed();
    one.stale = false;
    if (one.shown) one.shown();
    for (const link of links) link.toggleAttribute("aria-current", link.dataset.key === screen.key);
    links.find((link) => link.dataset.key === screen.key)?.setAttribute("aria-current", "page");
    links.find((link) => link.dataset.key === screen.key)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const target = place ? one.panel.querySelector(`#${place}`) : one.panel.querySelector("h2");
    if (focus) { target.tabIndex = -1; target.focus({ preventScroll: !place }); if (place) target.scrollIntoView(); else window.scrollTo(0, 0); }
  }

  const links = screens.map((screen) => el("a", { href: `#${screen.key}`, "data-key": screen.key, onclick: (event) => { event.preventDefault(); go(screen.key); } }, screen.title));
  nav.replaceChildren(...links);
  const page = {
    screens, go, current: () => current,
    filter() { go("runs"); if (current.filter) current.filter.focus(); else announce("There is nothing to filter here."); },
  };
  ctx.go = go;
  ctx.state.listen(() => { for (const one of built.values()) { if (one === current) one.changed?.(); else one.stale = true; } });
  const help = keyboard(page);
  nav.append(button("?", () => help.showModal(), { class: "help", "aria-label": "Keyboard help" }));
  ctx.state.open(location.hash);
  go(ctx.state.screen || (data.unfit ? "runs" : ""), "", false);
  window.addEventListener("hashchange", () => { ctx.state.open(location.hash); go(ctx.state.screen); });
  root.querySelector(".skip")?.addEventListener("click", (event) => { event.preventDefault(); current.panel.querySelector("h2").focus(); });
  return page;
}

function contextOf(data) {
  const blocks = new Map();
  const mix = data.mixtures ? { predict: prepare(data.mixtures.predict), trade: prepare(data.mixtures.trade), size: data.mixtures.size, unique: data.mixtures.unique } : null;
  const columns = data.fit ? data.fit.columns : [];
  return {
    data, mix, blocks, columns, frontiers: new Map(), state: stateOf(defaultsOf(data, columns), data.levels), drawn: Boolean(mix && (mix.predict.members.some((m) => m.drawn) || mix.predict.noise > 0)),
    block(one, screen) { blocks.set(one.id, Object.assign(one, { screen })); return one.element; },
    buildAll() {}, go() {},
  };
}

function defaultsOf(data, columns) {
  const ranges = data.fit ? data.fit.ranges : {}, curve = data.curveLaw ? data.curveLaw.ranges : {};
  const budget = ranges.flops ? round(10 * ranges.flops[1]) : 1e23;
  const chip = data.accelerators.find((one) => one.key === "h100") || data.accelerators[0];
  const size = round(3 * ((ranges.params || ranges.params_nonembed || [0, 1e9])[1])), middle = (name, otherwise) => round(Math.sqrt((curve[name] || otherwise)[0] * (curve[name] || otherwise)[1]));
  const defaults = {
    budget: "flops", hold: "", flops: budget, gpu: chip.key, gpus: Math.max(1, Math.ceil(budget / (chip.peak * UTILISATION * 86400 * DAYS))),
    days: DAYS, mfu: UTILISATION, price: 2, money: 1e5, inference: 0, cap: 0, level: data.level,
    params: size, tokens: round(20 * size), target: data.plane ? Number(data.plane.loss.value.at(-8).toPrecision(3)) : 2.5,
    t_params: round(3 * (curve.params_nonembed || [0, 1e9])[1]), t_batch: middle("batch_tokens", [1e5, 1e6]), t_steps: round(2 * (curve.step || [0, 1e5])[1]),
    b_loss: curve.loss ? Number((0.6 * curve.loss[0] + 0.4 * curve.loss[1]).toPrecision(3)) : 2.8,
  };
  for (const name of columns) defaults[`x_${name}`] = asked(name, ranges).start;
  return defaults;
}

function round(value) {
  return Number(value.toPrecision(2));
}
