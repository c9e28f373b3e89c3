"""The frame of every page: head, navigation, what it was made from. Nothing stands inline."""

from __future__ import annotations

from collections.abc import Iterable

from scalewise.report.html import safe_text


def layout(
    title: str,
    body: str,
    *,
    root_path: str,
    scripts: Iterable[str] = (),
    styles: Iterable[str] = (),
    runs: str | None = None,
    fit: str | None = None,
    before_main: str = "",
) -> str:
    """A page: ``body`` is HTML, everything else text; addresses are below ``root_path``."""
    root = safe_text(root_path, 400)
    links = "".join(
        f'<link rel="stylesheet" href="{root}{safe_text(href)}">'
        for href in ("/static/page.css", "/static/dashboard.css", *styles)
    )
    modules = "".join(
        f'<script type="module" src="{root}{safe_text(src)}"></script>' for src in scripts
    )
    return f"""<!doctype html>
<html lang="en" data-root="{root}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{safe_text(title)} - scalewise</title>
<link rel="icon" href="data:,">
{links}
</head>
<body>
<a class="skip" href="#screen">Skip to the results</a>
<header>
<p class="crumbs"><a href="{root}/">scalewise</a></p>
<h1>{safe_text(title)}</h1>
{before_main}
</header>
<main id="screen" tabindex="-1">
{body}
</main>
<footer>
{made_from(runs, fit)}
</footer>
<div id="told" role="status" aria-live="polite"></div>
{modules}
</body>
</html>
"""


def made_from(runs: str | None, fit: str | None) -> str:
    """Which runs and which fit a page tells of."""
    rows = [("run table, sha256", runs), ("fit", fit)]
    items = "".join(
        f'<dt>{name}</dt><dd class="code">{safe_text(value)}</dd>' for name, value in rows if value
    )
    return f"<dl>{items}</dl>" if items else "<p>Nothing here leaves this computer.</p>"


def failure_page(message: str, hint: str, *, root_path: str) -> str:
    """The fact, and what to do about it."""
    mend = f"<p>{safe_text(hint, 2000)}</p>" if hint else ""
    body = (
        f'<section class="failure" role="alert"><p class="conclusion">{safe_text(message, 2000)}'
        f'</p>{mend}<p><a href="{safe_text(root_path)}/">Back to the dashboard</a></p></section>'
    )
    return layout("That did not work", body, root_path=root_path)
