// The keyboard: every key listed here works anywhere but in a field that is being typed in.

import { announce, button, el } from "./dom.js";

const WAIT = 1200; // ms between g and the letter of a screen

export const HELP = [
  ["?", "this help"], ["/", "filter the runs"], ["j, k", "next, previous row, chart or table"], ["x", "include or exclude the run"],
  ["c", "copy what is focused"], ["← →", "move a slider, with shift ten times as far"], ["Esc", "leave a field, close this"],
];

const typing = (target) => target.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio], [type=file])");

/** Listens on the document; `page` has screens, go(key), current() and filter(). */
export function keyboard(page) {
  let waiting = 0;
  const help = dialog(page);
  document.body.append(help);
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(target)) { if (key === "Escape") target.blur(); return; }
    if (waiting && Date.now() - waiting < WAIT) {
      waiting = 0;
      const screen = page.screens.find((one) => one.letter === key) || (key === "h" ? page.screens.find((one) => one.key === "runs") : null);
      if (screen) { event.preventDefault(); page.go(screen.key, key === "h" ? "health" : ""); }
      return;
    }
    waiting = key === "g" ? Date.now() : 0;
    const act = { "?": () => help.showModal(), "/": () => page.filter(), j: () => move(page, 1), k: () => move(page, -1), x: () => exclude(page), c: () => copy(page) }[key];
    if (!act || help.open) return;
    event.preventDefault();
    act();
  });
  return help;
}

function dialog(page) {
  const rows = [...page.screens.map((screen) => [`g ${screen.letter}`, screen.title]), ["g h", "Health"], ...HELP];
  const box = el("dialog", { "aria-labelledby": "keys" }, el("h2", { id: "keys" }, "Keyboard"),
    el("dl", { class: "facts" }, rows.map(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])), button("Close", () => box.close()));
  return box;
}

/** Rows of the runs where there are any on screen, else charts and tables. */
function places(page) {
  const { rows, element } = page.current();
  const own = rows ? rows() : [];
  return own.length ? own : [...element.querySelectorAll("figure.chart, .scroll")].filter((node) => node.offsetParent);
}

function move(page, by) {
  const all = places(page), at = all.findIndex((node) => node === document.activeElement || node.contains(document.activeElement));
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  if (!next) return;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function exclude(page) {
  const row = document.activeElement.closest("tr[data-key]"), screen = page.current();
  if (!row || !screen.exclude) return;
  const { key } = row.dataset;
  screen.exclude(key);
  const again = screen.rows().find((other) => other.dataset.key === key);
  if (again) again.focus({ preventScroll: true });
}

function copy(page) {
  const block = document.activeElement.closest("[data-block]");
  const place = block && block.querySelector("[data-form=CSV], .tools button") ? block : page.current().panel.querySelector("[data-block]");
  const press = place && (place.querySelector("[data-form=CSV]") || place.querySelector(".tools button"));
  if (press) press.click(); else announce("There is nothing to copy here.");
}
