"""Which address answers what. Every page has a twin below ``/api`` that says the same as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from scalewise.core.records import to_json
from scalewise.runs.quote import quoted
from scalewise.web import pages
from scalewise.web.answers import API, json_answer, wants_json
from scalewise.web.asked import question_from
from scalewise.web.component import component
from scalewise.web.jobs import Jobs
from scalewise.web.project import Project
from scalewise.web.refusals import NotThereError, RefusalError, WrongKindError
from scalewise.web.settings import Settings
from scalewise.web.upload import receive_upload, too_large
from scalewise.web.watch import STATE

_LISTS = ("without", "sources")
_FORM = "application/x-www-form-urlencoded"


class Dashboard:
    """The answers, from files and from the jobs that run; no question leaves a trace here."""

    def __init__(self, project: Project, jobs: Jobs, settings: Settings) -> None:
        self.project, self.jobs, self.settings = project, jobs, settings

    async def overview(self, request: Request) -> Response:
        """What the project holds, newest first."""
        data = await to_thread.run_sync(self._contents)
        if wants_json(request.url.path):
            return json_answer("serve", data)
        return self._html(pages.overview_page(data, root_path=self.settings.root_path))

    async def upload(self, request: Request) -> Response:
        """Take files in; once they are on disk, say so and begin to read them."""
        limits = self.settings.limits
        said = request.headers.get("content-length", "0")
        if said.isdecimal() and int(said) > limits.upload:
            raise too_large(int(said), limits.upload, "The upload")
        kind = request.headers.get("content-type", "")
        source = await receive_upload(self.project, kind, request.stream(), limits)
        job = await self.jobs.ask(question_from({"kind": "read", "sources": [source]}))
        if not wants_json(request.url.path):
            return self._see(f"/jobs/{job}")
        found = await to_thread.run_sync(self.project.record, "sources", source, "source.json")
        return json_answer("upload", {"source": source, "job": job, **found}, status=201)

    async def source(self, request: Request) -> Response:
        """The files of one upload."""
        key = request.path_params["key"]
        return json_answer("source", self.project.record("sources", key, "source.json"))

    async def ask(self, request: Request) -> Response:
        """Begin a job."""
        job = await self.jobs.ask(question_from(await self._fields(request)))
        return await self._told_of(request, job, status=202)

    async def job(self, request: Request) -> Response:
        """One job now."""
        told = self.jobs.snapshot(request.path_params["key"])
        if wants_json(request.url.path):
            return self._job_json(told)
        return self._html(pages.job_page(told, root_path=self.settings.root_path))

    async def cancel(self, request: Request) -> Response:
        """Stop a job."""
        await self.jobs.cancel(request.path_params["key"])
        return await self._told_of(request, request.path_params["key"])

    async def resume(self, request: Request) -> Response:
        """Take an interrupted job on again."""
        await self.jobs.resume(request.path_params["key"])
        return await self._told_of(request, request.path_params["key"], status=202)

    async def events(self, request: Request) -> Response:
        """One job as server-sent events, until it has ended."""
        key = request.path_params["key"]
        self.project.place("jobs", key)

        async def stream() -> AsyncIterator[str]:
            async for told in self.jobs.events(key):
                yield ": still here\n\n" if told is None else f"data: {to_json(told)}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def runs(self, request: Request) -> Response:
        """One run table, and how the fit named in ``?fit=`` was asked for."""
        key = request.path_params["key"]
        facts = await to_thread.run_sync(self.project.record, "runs", key, "facts.json")
        if wants_json(request.url.path):
            data = facts | {"newer": self._newer(facts["asked"], key)}
            return json_answer("runs", data, runs=facts["sha256"])
        asked: Mapping[str, Any] = {}
        if fit := request.query_params.get("fit"):
            asked = self.project.record("fits", fit, "about.json")["asked"]
        cards = await to_thread.run_sync(self.project.text, "runs", key, "cards.html")
        mapping = await to_thread.run_sync(self.project.text, "runs", key, "mapping.toml")
        return self._html(
            pages.runs_page(
                key, facts, cards, mapping, asked, root_path=self.settings.root_path,
                newer=self._newer(facts["asked"], key),
            )
        )  # fmt: skip

    async def fit(self, request: Request) -> Response:
        """One fit."""
        key = request.path_params["key"]
        about = await to_thread.run_sync(self.project.record, "fits", key, "about.json")
        newer = self._newer_than_fit(about)
        if wants_json(request.url.path):
            return json_answer("fit", about | {"newer": newer}, runs=about["sha256"], fit=key)
        cards = await to_thread.run_sync(self.project.text, "fits", key, "cards.html")
        page = pages.fit_page(
            key, about, cards, root_path=self.settings.root_path, newer=newer
        )  # fmt: skip
        return self._html(page)

    async def backtest(self, request: Request) -> Response:
        """How the laws of a fit did on runs held out."""
        key = request.path_params["key"]
        about = await to_thread.run_sync(self.project.record, "fits", key, "about.json")
        if wants_json(request.url.path):
            text = self.project.text("fits", key, "backtest.json") or "null"
            data = {"backtest": json.loads(text), "absent": about["absent"]}
            return json_answer("backtest", data, runs=about["sha256"], fit=key)
        cards = await to_thread.run_sync(self.project.text, "fits", key, "backtest.html")
        page = pages.backtest_page(key, about, cards, root_path=self.settings.root_path)
        return self._html(page)

    async def component(self, request: Request) -> Response:
        """A module of the interactive screens; the law of the fit is one of them."""
        name, key = request.path_params["name"], request.path_params["key"]
        place = self.project.place("fits", key)
        if name == "laws":
            return FileResponse(place / "laws.js", media_type="text/javascript")
        return Response(component(name), media_type="text/javascript")

    def file(self, kind: Any, name: str, media_type: str, *, download: bool) -> Any:
        """A route that hands out one file of a run table or a fit."""

        async def handed_out(request: Request) -> Response:
            path = self.project.place(kind, request.path_params["key"]) / name
            if not path.is_file():
                raise NotThereError(f"There is no {name} here.", hint="Make the fit again.")
            stem = request.path_params["key"][:12]
            given = f"scalewise-{stem}-{name}" if download else None
            return FileResponse(path, media_type=media_type, filename=given)

        return handed_out

    async def watched(self, request: Request) -> Response:
        """What was read last of the watched folder."""
        return json_answer("watch", self.project.read_state(STATE) or None)

    def _contents(self) -> dict[str, Any]:
        most, project = self.settings.limits.listed, self.project
        runs = []
        for key in project.newest("runs", most):
            facts = project.record("runs", key, "facts.json")
            told = f"{facts['source']}: {facts['runs']} runs, {facts['rows']} rows"
            runs.append({"key": key, "told": told, "sha256": facts["sha256"]})
        fits = []
        for key in project.newest("fits", most):
            about = project.record("fits", key, "about.json")
            fits.append({"key": key, "told": about["title"], "sha256": about["sha256"]})
        jobs = []
        for key in project.newest("jobs", most):
            job = self.jobs.snapshot(key)
            law = job["asked"].get("law")
            text = f"fit {law}" if law else "read"
            jobs.append({"key": key, "told": text, "state": job["state"]})
        return {"runs": runs, "fits": fits, "jobs": jobs, "watch": project.read_state(STATE)}

    def _newer(self, asked: Mapping[str, Any], key: str) -> str | None:
        """The run table that the watched folder has now, if that is not the one shown."""
        if not asked.get("watched"):
            return None
        runs: str | None = self.project.read_state(STATE).get("runs")
        return runs if runs != key else None

    def _newer_than_fit(self, about: Mapping[str, Any]) -> str | None:
        runs = about["runs"]
        if runs is None or not self.project.has("runs", runs):
            return None
        asked = self.project.record("runs", runs, "facts.json")["asked"]
        return self._newer(asked, runs)

    async def _told_of(self, request: Request, job: str, *, status: int = 200) -> Response:
        if wants_json(request.url.path):
            return self._job_json(self.jobs.snapshot(job), status=status)
        return self._see(f"/jobs/{job}")

    def _job_json(self, told: Mapping[str, Any], *, status: int = 200) -> Response:
        fit, runs = told.get("fit"), told.get("runs") or told["asked"].get("runs")
        sha256 = None
        if runs and self.project.has("runs", runs):
            sha256 = self.project.record("runs", runs, "facts.json")["sha256"]
        return json_answer("job", told, runs=sha256, fit=fit, status=status)

    async def _fields(self, request: Request) -> dict[str, Any]:
        """The fields of a form, or of a JSON body on the JSON side. Raises RefusalError."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
        wanted = "application/json" if wants_json(request.url.path) else _FORM
        if kind != wanted:
            raise WrongKindError(
                f"The body is {quoted(kind, 80)}, not {wanted}.", hint=f"Send {wanted}."
            )
        body = await _limited(request, self.settings.limits.form)
        try:
            text = body.decode("utf-8")
            found = json.loads(text) if wanted != _FORM else _form(text)
        except (ValueError, RecursionError) as error:
            raise RefusalError(
                f"The body cannot be read: {quoted(str(error), 120)}.", hint=f"Send {wanted}."
            ) from error
        if not isinstance(found, dict):
            raise RefusalError(f"The body is {quoted(found)}, not an object.", hint="Send fields.")
        return found

    def _html(self, text: str) -> Response:
        return HTMLResponse(text)

    def _see(self, path: str) -> Response:
        return RedirectResponse(f"{self.settings.root_path}{path}", status_code=303)


async def _limited(request: Request, most: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(60):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise too_large(len(body), most, "The body")
    except (ClientDisconnect, TimeoutError) as error:
        raise RefusalError("The body was broken off.", hint="Send it again.") from error
    return bytes(body)


def _form(text: str) -> dict[str, Any]:
    """Fields of a form; names of runs come as JSON text, which survives line breaks in them."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=25_000):
        if name in _LISTS:
            found.setdefault(name, []).append(json.loads(value) if name == "without" else value)
        elif name in found:
            raise ValueError(f"{name!r} is given twice")
        else:
            found[name] = value
    return found


def routes(on: Dashboard) -> list[Route]:
    """All addresses: pages and their twins, jobs, downloads."""
    twins = [
        Route(f"{prefix}{path}", answer, methods=[method])
        for path, answer, method in (
            ("/", on.overview, "GET"),
            ("/sources", on.upload, "POST"),
            ("/jobs", on.ask, "POST"),
            ("/jobs/{key}", on.job, "GET"),
            ("/jobs/{key}/cancel", on.cancel, "POST"),
            ("/jobs/{key}/resume", on.resume, "POST"),
            ("/runs/{key}", on.runs, "GET"),
            ("/fits/{key}", on.fit, "GET"),
            ("/fits/{key}/backtest", on.backtest, "GET"),
        )
        for prefix in ("", API)
    ]
    single = [
        Route(f"{API}/sources/{{key}}", on.source),
        Route(f"{API}/jobs/{{key}}/events", on.events),
        Route(f"{API}/watch", on.watched),
        Route("/fits/{key}/component/{name}.js", on.component),
        Route(
            "/fits/{key}/payload.json",
            on.file("fits", "payload.json", "application/json", download=False),
        ),
    ]
    downloads = [
        Route(f"/{kind}/{{key}}/{name}", on.file(kind, name, media, download=True))
        for kind, name, media in (
            ("runs", "runs.csv", "text/csv"),
            ("runs", "runs.parquet", "application/octet-stream"),
            ("fits", "fit.json", "application/json"),
            ("fits", "report.html", "text/html"),
        )
    ]
    return [*twins, *single, *downloads]
