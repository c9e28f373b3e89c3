// Notes: a little Markdown, made into elements, so that nothing written can be more than text.

import { el } from "./dom.js";

/** Headings, lists, quotes, code, bold, italics; everything else is a paragraph. */
export function markdown(text) {
  const out = [];
  const lines = text.replace(/\r/g, "").split("\n");
  for (let i = 0; i < lines.length;) {
    const line = lines[i];
    const heading = /^(#{1,4})\s+(.*)$/.exec(line);
    if (!line.trim()) i += 1;
    else if (line.startsWith("```")) {
      const end = lines.findIndex((other, k) => k > i && other.startsWith("```"));
      const stop = end < 0 ? lines.length : end;
      out.push(el("pre", {}, lines.slice(i + 1, stop).join("\n")));
      i = stop + 1;
    } else if (heading) {
      out.push(el(`h${Math.min(heading[1].length + 2, 6)}`, {}, inline(heading[2])));
      i += 1;
    } else {
      const kind = kindOf(line), taken = [];
      while (i < lines.length && lines[i].trim() && kindOf(lines[i]) === kind && !/^(#{1,4}\s|```)/.test(lines[i])) taken.push(lines[i++]);
      out.push(group(kind, taken));
    }
  }
  return out;
}

function kindOf(line) {
  if (/^\s*[-*]\s/.test(line)) return "ul";
  if (/^\s*\d+[.)]\s/.test(line)) return "ol";
  return line.startsWith(">") ? "blockquote" : "p";
}

function group(kind, lines) {
  if (kind === "p") return el("p", {}, inline(lines.join(" ")));
  if (kind === "blockquote") return el("blockquote", {}, inline(lines.map((line) => line.replace(/^>\s?/, "")).join(" ")));
  return el(kind, {}, lines.map((line) => el("li", {}, inline(line.replace(/^\s*([-*]|\d+[.)])\s+/, "")))));
}

function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|\*[^*]+\*|`[^`]+`)/).filter(Boolean).map((part) => {
    if (part.startsWith("**") && part.length > 4) return el("strong", {}, part.slice(2, -2));
    if (part.startsWith("*") && part.length > 2) return el("em", {}, part.slice(1, -1));
    if (part.startsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    return part;
  });
}
