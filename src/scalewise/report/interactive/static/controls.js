// Inputs: a slider over decades with the number beside it, choices, and check boxes.

import { el, unique } from "./dom.js";
import { count, parse } from "./numbers.js";

const STEPS = 400;

/**
 * A number on a log scale. `spec`: label, unit, low, high, format, get(), set(value), zero (whether
 * 0 is allowed, at the left end). Arrow keys move the slider, with shift ten times as far.
 */
export function slider(spec) {
  const id = unique("slider"), write = spec.format || count;
  const range = el("input", { type: "range", min: 0, max: STEPS, step: 1, id, "aria-label": spec.label });
  const box = el("input", { type: "text", inputmode: "decimal", class: "amount", "aria-label": `${spec.label}${spec.unit ? ` in ${spec.unit}` : ""}`, autocomplete: "off", spellcheck: "false" });
  const span = Math.log(spec.high / spec.low);
  const from = (place) => {
    if (spec.zero && place === 0) return 0;
    const value = spec.low * Math.exp((span * place) / STEPS);
    return spec.whole ? Math.max(1, Math.round(value)) : Number(value.toPrecision(4));
  };
  const placeOf = (value) => (value > 0 ? Math.round((STEPS * Math.log(value / spec.low)) / span) : 0);
  const slide = () => {
    const now = spec.get(), value = from(Number(range.value)), sign = Math.sign(Number(range.value) - placeOf(now));
    // Small whole numbers lie more than a place apart: every move reaches the next one.
    spec.set(spec.whole && value === now ? Math.max(1, now + sign) : value);
  };
  range.addEventListener("input", slide);
  range.addEventListener("keydown", (event) => {
    const sign = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!sign || !event.shiftKey) return;
    event.preventDefault();
    range.value = String(Number(range.value) + 10 * sign);
    slide();
  });
  box.addEventListener("change", () => {
    const value = parse(box.value), fits = value > 0 || (spec.zero && value === 0);
    box.setAttribute("aria-invalid", String(!fits));
    if (fits) spec.set(spec.most ? Math.min(value, spec.most) : value);
  });
  const element = el("div", { class: "control" }, el("label", { for: id }, spec.label),
    el("div", { class: "pair" }, box, spec.unit ? el("span", { class: "unit" }, spec.unit) : null), range);
  return {
    element,
    refresh() {
      const value = spec.get();
      range.value = String(placeOf(value));
      const text = value === 0 && spec.none ? spec.none : write(value);
      range.setAttribute("aria-valuetext", value ? `${text} ${spec.unit || ""}`.trim() : text);
      if (document.activeElement !== box) box.value = text;
      element.hidden = spec.hidden ? spec.hidden() : false;
    },
  };
}

/** One of several, as radio buttons: options are [value, text]. */
export function radios(label, options, get, set) {
  const name = unique("choice");
  const inputs = options.map(([value]) => el("input", { type: "radio", name, value, onchange: () => set(value) }));
  const element = el("fieldset", { class: "choice" }, el("legend", {}, label),
    options.map(([, text], i) => el("label", {}, inputs[i], text)));
  return { element, refresh: () => inputs.forEach((input) => { input.checked = input.value === String(get()); }) };
}

/** One of many, as a menu. */
export function menu(label, options, get, set) {
  const id = unique("menu");
  const select = el("select", { id, onchange: () => set(select.value) }, options.map(([value, text]) => el("option", { value }, text)));
  return {
    element: el("div", { class: "control" }, el("label", { for: id }, label), select),
    refresh: () => { select.value = String(get()); },
  };
}
