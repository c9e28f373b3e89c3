// Elements made of text, never of markup: whatever a run is called, it is shown as it is.

const SVG = "http://www.w3.org/2000/svg";
let serial = 0;

/** An element with attributes (`on...` are listeners) and children; strings become text. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function unique(stem) {
  serial += 1;
  return `${stem}-${serial}`;
}

/** Tells readers, seeing or listening, what has just been done. */
export function announce(text) {
  const place = document.getElementById("told");
  if (!place) return;
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => place.classList.remove("shown"), 2600);
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

/** A definition list of [name, text, code?] facts. */
export function facts(rows) {
  return el("dl", { class: "facts" }, rows.map(([name, text, form]) => [
    el("dt", {}, name), el("dd", { class: form === "code" ? "code" : null }, text),
  ]));
}

export function notes(title, texts) {
  if (!texts.length) return null;
  return el("div", { class: "caveats", role: "note" }, el("h3", {}, title),
    el("ul", {}, texts.map((text) => el("li", {}, text))));
}

/** What a screen shows where its data are missing: the fact, and the way out. */
export function absent(fact, mend, command = "") {
  return el("div", { class: "absent" }, el("p", { class: "conclusion" }, fact), el("p", {}, mend),
    command ? el("pre", {}, command) : null);
}

/** The same where a fit is missing: why there is none, if that was found out. */
export function unfitted(data) {
  if (data.unfit) return absent(data.unfit.fact, data.unfit.mend);
  return absent("There is no fit, so there is nothing to ask.", "Fit a law to the runs first.", "scalewise fit RUNS --out fit.json");
}
