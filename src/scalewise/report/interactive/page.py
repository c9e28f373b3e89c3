"""The interactive page: one file that fetches nothing and can be mailed.

The static cards stand in it as they do on the static page, so that a reader whose browser runs no
script reads them; the script moves them to a screen of their own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from scalewise.report.card import Card
from scalewise.report.html import body_of, provenance_of, safe_text, shared_style
from scalewise.report.interactive.bundle import bundle, stylesheet
from scalewise.report.interactive.card_figures import CardFigures
from scalewise.report.interactive.payload import Payload

_START = """
const data = JSON.parse(document.getElementById("payload").textContent);
$app.mount(document.body, data, document.getElementById("details"));
"""


def interactive_page(
    payload: Payload,
    cards: Iterable[Card] = (),
    *,
    subtitle: str = "",
    provenance: Mapping[str, object] | None = None,
) -> str:
    """A payload, and the cards that tell the same without a script, as one HTML document.

    The content security policy names the checksums of the page's own script and style sheet;
    nothing else may run, and nothing may be fetched. The same payload gives the same bytes.
    """
    style = f"{shared_style()}\n{stylesheet()}"
    figures = CardFigures()
    found = tuple(cards)
    details = f'<div id="details">{body_of(found, figures)}</div>' if found else ""
    payload = replace(payload, data={**payload.data, "figures": figures.found})
    script = f"{bundle(payload.laws)}\n{_START}"
    title = safe_text(str(payload.data["title"]))
    told = f'<p class="subtitle">{safe_text(subtitle)}</p>' if subtitle else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#screen">Skip to the results</a>
<header>
<h1>{title}</h1>
{told}
<nav id="screens" aria-label="Screens"></nav>
</header>
<main id="screen" tabindex="-1">
<noscript><p>This is the whole report; asking what if takes JavaScript.</p></noscript>
{details}
</main>
<footer>
{provenance_of(provenance or {})}
</footer>
<div id="told" role="status" aria-live="polite"></div>
<script type="application/json" id="payload">{payload.json}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def _policy(script: str, style: str) -> str:
    rules = (
        "default-src 'none'",
        f"script-src '{_checksum(script)}'",
        f"style-src '{_checksum(style)}'",
        "img-src data:",  # a drawing on its way to becoming a PNG
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _checksum(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
