"""The pages: what the project holds, one run table, one fit, its backtest, one job.

Every page works without a script; what one adds is progress as it happens and dropped files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from scalewise.core.quantities import format_count, format_flops
from scalewise.core.records import to_json
from scalewise.report.html import safe_text
from scalewise.web.layout import layout

_NO_SCRIPT = (
    "<noscript><p>This is the whole report; asking what if takes JavaScript.</p></noscript>"
)
_SCRIPT = "/static/dashboard.js"
_COUNTS = ("params", "params_nonembed", "tokens")
_OPTIONS = (
    ("law", "Law", "a key, a formula, or auto", "text"),
    ("where", "Rows", "such as params < 1B; empty for all", "text"),
    ("seed", "Seed", "of the resamples", "number"),
    ("bootstrap", "Resamples", "0 to 2000", "number"),
    ("level", "Level", "of the intervals", "text"),
)
_DEFAULTS = {"law": "auto", "where": "", "seed": 0, "bootstrap": 300, "level": 0.9}


def overview_page(data: Mapping[str, Any], *, root_path: str) -> str:
    """What there is, and where to begin."""
    root = safe_text(root_path)
    lists = (
        _listing("Run tables", data["runs"], f"{root}/runs/", "No runs have been read yet."),
        _listing("Fits", data["fits"], f"{root}/fits/", "Nothing has been fitted yet."),
        _listing("Jobs", data["jobs"], f"{root}/jobs/", "Nothing has been computed yet."),
    )
    upload = f"""<section aria-labelledby="upload"><h2 id="upload">Bring runs in</h2>
<form method="post" action="{root}/sources" enctype="multipart/form-data" class="drop">
<p><label>Files: run tables, logs of any known tool, or a fit file
<input type="file" name="files" multiple></label></p>
<p><label>Or a whole folder <input type="file" name="folder" webkitdirectory></label></p>
<p><button>Upload and read</button></p>
<p class="note">They stay in the project folder on this computer. Files can be dropped here.</p>
</form></section>"""
    body = f"{_watched(data['watch'], root)}{upload}{''.join(lists)}"
    return layout("Dashboard", body, root_path=root_path, scripts=(_SCRIPT,))


def runs_page(
    key: str, facts: Mapping[str, Any], cards: str, mapping: str, asked: Mapping[str, Any],
    *, root_path: str, newer: str | None = None,
) -> str:  # fmt: skip
    """One run table: what was understood, its health, and the form that fits it.

    ``asked`` are the settings that the form begins with.
    """
    root = safe_text(root_path)
    correct = ""
    if mapping:
        sources = "".join(_hidden("sources", one) for one in facts["asked"]["sources"])
        correct = f"""<section aria-labelledby="correct"><h2 id="correct">Correct the reading</h2>
<form method="post" action="{root}/jobs">{_hidden("kind", "read")}{sources}
<p><label for="mapping">What was understood, as a mapping file</label></p>
<textarea id="mapping" name="mapping" rows="16" spellcheck="false">{_area(mapping)}</textarea>
<p><button>Read again</button></p></form></section>"""
    told = _stale(newer, f"{root}/runs/", "The watched folder has changed since.")
    body = f"""{told}<section aria-labelledby="fit"><h2 id="fit">Fit</h2>
<form method="post" action="{root}/jobs">{_hidden("kind", "fit")}{_hidden("runs", key)}
{_options(asked)}
{_run_list(facts, asked)}
<p><button>Fit</button></p></form></section>
<p><a href="{root}/runs/{key}/runs.csv" download>The run table as CSV</a></p>
{correct if facts["asked"].get("sources") else ""}{cards}"""
    title = f"Runs of {facts['source']}"
    return layout(title, body, root_path=root_path, scripts=(_SCRIPT,), runs=facts["sha256"])


def fit_page(
    key: str, about: Mapping[str, Any], cards: str, *, root_path: str, newer: str | None = None
) -> str:
    """One fit: the interactive screens, and ways to its runs, its backtest and its report."""
    root = safe_text(root_path)
    runs = about["runs"]
    links = [
        f'<a href="{root}/runs/{runs}?fit={key}">Runs, and fit again</a>' if runs else "",
        f'<a href="{root}/fits/{key}/backtest">Backtest</a>',
        f'<a href="{root}/fits/{key}/report.html" download>Download the report</a>',
        f'<a href="{root}/fits/{key}/fit.json" download>Download the fit</a>',
    ]
    stale = _stale(newer, f"{root}/runs/", "The data have changed since this fit.")
    before = (
        f'<p class="links">{" ".join(link for link in links if link)}</p>{stale}'
        '<nav id="screens" aria-label="Screens"></nav>'
    )
    body = f"""{_NO_SCRIPT}
<div id="details">{cards}</div>"""
    return layout(
        about["title"], body, root_path=root_path, before_main=before,
        scripts=(f"/fits/{key}/component/start.js",), styles=("/static/app.css",),
        runs=about["sha256"], fit=key,
    )  # fmt: skip


def backtest_page(key: str, about: Mapping[str, Any], cards: str, *, root_path: str) -> str:
    """How the laws did on runs that they had not seen."""
    absent = (
        f'<section><p class="conclusion">There is no backtest.</p><p>{safe_text(about["absent"])}'
        "</p></section>"
    )
    fit = f"{safe_text(root_path)}/fits/{key}"
    back = (
        f'<p class="links"><a href="{fit}">The fit</a>'
        f'<a href="{fit}#backtest">The backtest as a chart</a></p>'
    )
    return layout(
        f"Backtest of {about['title']}", f"{back}{cards or absent}", root_path=root_path,
        runs=about["sha256"], fit=key,
    )  # fmt: skip


def job_page(job: Mapping[str, Any], *, root_path: str) -> str:
    """One job: how far it is, how it ended, and what can be done about it."""
    root, key, state = safe_text(root_path), job["job"], job["state"]
    done = _result_link(job, root)
    failure = _failure(job.get("error"))
    progress = job["progress"]
    doing = f": {progress['doing']}" if progress else ""
    bar = f'<progress max="{progress.get("of", 1)}" value="{progress.get("done", 0)}"></progress>'
    open_ = state in ("waiting", "running")
    verb = "cancel" if open_ else "resume" if state == "interrupted" else ""
    action = (
        f'<form method="post" action="{root}/jobs/{key}/{verb}"><button>{verb.title()}</button>'
        "</form>"
        if verb
        else ""
    )
    kind = "Reading" if job["asked"]["kind"] == "read" else "Fit"
    asked = "".join(
        f'<dt>{safe_text(name)}</dt><dd class="code">{safe_text(_listed(value), 500)}</dd>'
        for name, value in job["asked"].items()
        if name != "kind" and value not in ("", [], None)
    )
    runs = job["asked"].get("runs")
    again = (
        f'<p><a href="{root}/runs/{safe_text(runs)}">The runs, and fit again</a></p>'
        if runs
        else ""
    )
    reload = '<noscript><p><a href="">Look again</a></p></noscript>' if open_ else ""
    body = f"""<section data-job="{key}" data-state="{state}">
<p class="conclusion" id="state">{state}{safe_text(doing)}</p>{bar if open_ else ""}
{failure}{done}{action}{again}{reload}<dl>{asked}</dl></section>"""
    return layout(f"{kind}: {state}", body, root_path=root_path, scripts=(_SCRIPT,))


def _failure(error: Mapping[str, str] | None) -> str:
    if not error:
        return ""
    fact, mend = safe_text(error["message"], 2000), safe_text(error.get("hint", ""), 2000)
    return f'<div class="failure" role="alert"><p class="conclusion">{fact}</p><p>{mend}</p></div>'


def _result_link(job: Mapping[str, Any], root: str) -> str:
    if job["state"] != "done":
        return ""
    fit, runs = job.get("fit"), job.get("runs")
    place, text = (f"fits/{fit}", "Open the fit") if fit else (f"runs/{runs}", "Open the runs")
    return f'<p><a id="result" href="{root}/{place}">{text}</a></p>'


def _listing(title: str, rows: Sequence[Mapping[str, Any]], place: str, empty: str) -> str:
    items = "".join(
        f'<li><a href="{place}{row["key"]}">{safe_text(row["told"])}</a> '
        f'<span class="code">{row["key"][:12]}</span> {safe_text(row.get("state", ""))}</li>'
        for row in rows
    )
    inside = f"<ul>{items}</ul>" if items else f"<p>{empty}</p>"
    anchor = title.casefold().replace(" ", "-")
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>{inside}</section>'


def _watched(state: Mapping[str, Any], root: str) -> str:
    if not state:
        return ""
    error = state.get("error")
    failure = f"<p>{safe_text(error['message'])} {safe_text(error['hint'])}</p>" if error else ""
    runs = state.get("runs")
    link = f'<p><a href="{root}/runs/{runs}">Its newest run table</a></p>' if runs else ""
    name = safe_text(state["folder"])
    return (
        f'<section aria-labelledby="watched" data-watched="{safe_text(str(state["job"]))}">'
        f'<h2 id="watched">Watched folder {name}</h2>{link}{failure}</section>'
    )


def _stale(newer: str | None, place: str, fact: str) -> str:
    if newer is None:
        return ""
    return (
        f'<div class="caveats" role="note"><h3>{fact}</h3>'
        f'<p><a href="{place}{newer}">The newest run table</a></p></div>'
    )


def _options(asked: Mapping[str, Any]) -> str:
    values = _DEFAULTS | {k: v for k, v in asked.items() if k in _DEFAULTS}
    rows = "".join(
        f'<p><label for="{name}">{label}</label> <input id="{name}" name="{name}" type="{kind}" '
        f'value="{safe_text(str(values[name]), 1000)}"> <span class="note">{note}</span></p>'
        for name, label, note, kind in _OPTIONS
    )
    return f'<div class="options">{rows}</div>'


def _run_list(facts: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The runs with a box each, ticked where a run is left out."""
    left_out = set(asked.get("without", ()))
    columns = [name for name in facts["columns"] if name != "run_id"]
    kinds = {name: _kind(facts["values"][name]) for name in columns}
    heads = "".join(f'<th scope="col" class="{kinds[n]}">{safe_text(n)}</th>' for n in columns)
    rows, seen = [], set()
    for i, run in enumerate(facts["values"]["run_id"]):
        cells = "".join(
            f'<td class="{kinds[name]}">{safe_text(_written(name, facts["values"][name][i]))}</td>'
            for name in columns
        )
        box = ""
        if run not in seen:
            ticked = " checked" if run in left_out else ""
            box = (
                f'<input type="checkbox" name="without" value="{_exact(to_json(run))}"{ticked} '
                f'aria-label="Leave out {safe_text(run, 100)}">'
            )
        seen.add(run)
        rows.append(f'<tr><td>{box}</td><th scope="row">{safe_text(run, 120)}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>'
        f'<th scope="col">leave out</th><th scope="col">run</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _kind(values: Sequence[object]) -> str:
    """Numbers end under each other, text begins under each other."""
    return "num" if any(isinstance(value, (int, float)) for value in values) else "short"


def _written(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        if name == "flops":
            return format_flops(value)
        return format_count(value) if name in _COUNTS else f"{value:.6g}"
    return str(value)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{_exact(value)}">'


def _exact(text: str) -> str:
    """A value that comes back as it is, inside a quoted attribute."""
    return escape(text, quote=True)


def _area(text: str) -> str:
    return f"\n{_exact(text)}"  # a browser drops the first line break
