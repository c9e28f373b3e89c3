// The report builder: notes and chosen blocks, as a page of their own or as Markdown.

import { asMarkdown, copyText, save } from "./copying.js";
import { button, el } from "./dom.js";
import { markdown } from "./markdown.js";

export const builder = {
  key: "report", letter: "n", title: "Report builder",
  build(ctx) {
    const store = storage(`scalewise ${ctx.data.title} ${(ctx.data.runs || {}).sha256 || ""}`);
    const kept = store.read() || {}, chosen = new Set(kept.chosen || ["law", "constants", "loss-by-compute"]);
    const notes = el("textarea", { id: "notes", rows: 9, placeholder: "What was decided, and why. Markdown: # heading, **bold**, - list" });
    notes.value = kept.notes || "";
    const preview = el("article", { class: "preview", "aria-label": "Preview" }), list = el("div", { class: "blocks" });
    const refresh = () => { store.write({ notes: notes.value, chosen: [...chosen] }); preview.replaceChildren(...pieces(ctx, notes.value, chosen)); };
    notes.addEventListener("input", refresh);
    const fill = () => {
      ctx.buildAll();
      const screens = Map.groupBy ? [...Map.groupBy(ctx.blocks.values(), (b) => b.screen)] : grouped([...ctx.blocks.values()]);
      list.replaceChildren(...screens.map(([screen, blocks]) => el("fieldset", { class: "choice column" }, el("legend", {}, screen), blocks.map((block) => el("label", {},
        el("input", { type: "checkbox", value: block.id, checked: chosen.has(block.id), onchange: (event) => { if (event.target.checked) chosen.add(block.id); else chosen.delete(block.id); refresh(); } }), block.title)))));
      refresh();
    };
    const name = "report-notes";
    const element = el("div", { class: "split" }, el("form", { class: "panel", "aria-label": "The report", onsubmit: (event) => event.preventDefault() },
      el("label", { for: "notes" }, "Notes"), notes, list), el("div", { class: "answers" },
      el("div", { class: "tools", role: "group", "aria-label": "Export" },
        button("Save as HTML", () => save(new Blob([asPage(ctx, preview)], { type: "text/html" }), `${name}.html`, "the report")),
        button("Copy as Markdown", () => copyText(asText(ctx, notes.value, chosen), "the report as Markdown", `${name}.md`)),
        button("Print", () => window.print())), preview));
    return { element, shown: fill };
  },
};

function grouped(blocks) {
  const by = new Map();
  for (const block of blocks) by.set(block.screen, [...(by.get(block.screen) || []), block]);
  return [...by];
}

function storage(key) {
  return {
    read() { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } },
    write(value) { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* private windows and frames keep nothing */ } },
  };
}

function selected(ctx, chosen) {
  return [...ctx.blocks.values()].filter((block) => chosen.has(block.id));
}

function pieces(ctx, notes, chosen) {
  const blocks = selected(ctx, chosen).map((block) => el("section", {}, contents(block)));
  const empty = blocks.length || notes.trim() ? [] : [el("p", { class: "soft tools" }, "Tick what the report is to show, or write a note.")];
  return [el("h2", {}, ctx.data.title), ...markdown(notes), ...blocks, ...empty];
}

function contents(block) {
  if (block.kind === "chart") {
    const drawing = document.importNode(new DOMParser().parseFromString(block.svg(), "image/svg+xml").documentElement, true);
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", block.title);
    drawing.removeAttribute("height");
    return [el("h3", {}, block.title), el("p", {}, block.spec.conclusion), drawing];
  }
  const copy = block.element.cloneNode(true);
  copy.querySelectorAll(".tools, input, .filter").forEach((node) => node.remove());
  copy.querySelectorAll("button").forEach((node) => node.replaceWith(node.textContent));
  copy.querySelectorAll("[id]").forEach((node) => node.removeAttribute("id"));
  copy.querySelectorAll("[tabindex]").forEach((node) => node.removeAttribute("tabindex"));
  return [el("h3", {}, block.title), copy];
}

function asText(ctx, notes, chosen) {
  const parts = [`# ${ctx.data.title}`, notes.trim()];
  for (const block of selected(ctx, chosen)) {
    parts.push(`## ${block.title}`);
    if (block.kind === "chart") parts.push(block.spec.conclusion);
    else parts.push(block.kind === "table" ? asMarkdown(block.table()) : block.text);
  }
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}

/** The preview as a file of its own, that runs no script and fetches nothing. */
function asPage(ctx, preview) {
  const page = document.implementation.createHTMLDocument(ctx.data.title);
  const policy = page.createElement("meta");
  policy.setAttribute("http-equiv", "Content-Security-Policy");
  policy.setAttribute("content", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
  const charset = page.createElement("meta"), style = page.createElement("style");
  charset.setAttribute("charset", "utf-8");
  style.textContent = [...document.querySelectorAll("style")].map((node) => node.textContent).join("\n");
  page.head.prepend(charset, policy);
  page.head.append(style);
  page.documentElement.lang = "en";
  const main = page.createElement("main");
  main.append(page.importNode(preview, true));
  page.body.append(main);
  return `<!doctype html>\n${page.documentElement.outerHTML}`;
}
