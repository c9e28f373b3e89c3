// All findings: the cards of the static page, their figures drawn by the page's own charts.

import { chart } from "./chart.js";
import { el } from "./dom.js";

/** The screen that takes in the cards already in the document. */
export function detailsOf(element) {
  element.hidden = true;
  // The address names the screen, so a link within one only scrolls.
  element.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]'), target = link && document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    target.tabIndex = -1;
    target.focus();
  });
  return {
    key: "details", letter: "a", title: "All findings",
    build(ctx) {
      element.hidden = false;
      for (const figure of ctx.data.figures || []) fill(ctx, element.querySelector(`[data-figure="${CSS.escape(figure.name)}"]`), figure);
      return { element };
    },
  };
}

function fill(ctx, place, figure) {
  if (!place) return;
  place.replaceWith(el("div", {}, figure.panels.map((panel, i) => ctx.block(chart({
    id: `${figure.name}-${i + 1}`, title: panel.title, conclusion: i ? "" : figure.conclusion, height: heightOf(panel),
    x: panel.x, y: panel.y, series: panel.series,
  }), "All findings"))));
}

function heightOf(panel) {
  if (panel.y.categories) return 24 * panel.y.categories.length + 12;
  return panel.short ? 190 : 310;
}
