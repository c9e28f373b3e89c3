"""The application: a project, its jobs, its routes, and the guard around them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from scalewise.core.errors import ScalewiseError
from scalewise.runs.quote import quoted
from scalewise.web.answers import failed
from scalewise.web.component import static_files
from scalewise.web.guard import Guard
from scalewise.web.jobs import Jobs
from scalewise.web.project import Project
from scalewise.web.refusals import NotThereError, RefusalError
from scalewise.web.routes import Dashboard, routes
from scalewise.web.settings import Settings
from scalewise.web.watch import watch


def make_app(project: Project, settings: Settings) -> ASGIApp:
    """The dashboard of a project as an ASGI application; its caller holds the project."""
    jobs = Jobs(project, settings)

    @contextlib.asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch(project, jobs, settings))
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await jobs.close()

    async def told(request: Request, error: Exception) -> Response:
        return failed(_as_ours(error, request), request.scope, settings.root_path)

    app = Starlette(
        routes=[*routes(Dashboard(project, jobs, settings)), Route("/static/{name}", _static)],
        exception_handlers={
            ScalewiseError: told, HTTPException: told, Exception: told,
        },
        lifespan=living,
    )  # fmt: skip
    app.router.redirect_slashes = False
    return Guard(app, settings)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    found = static_files().get(name)
    if found is None:
        raise NotThereError(f"There is no file {quoted(name)}.", hint="Open the first page.")
    return Response(found[0], media_type=found[1])


class _UnexpectedError(ScalewiseError):
    """Anything that was not raised on purpose."""


class _WrongMethodError(RefusalError):
    """The address is there, but not for that."""

    status = 405


def _as_ours(error: Exception, request: Request) -> ScalewiseError:
    """Every failure in the words of this package."""
    path, method = quoted(request.url.path, 120), request.method
    if isinstance(error, ScalewiseError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 405:
        return _WrongMethodError(f"{path} cannot be asked with {method}.", hint="See the pages.")
    if isinstance(error, HTTPException):
        return NotThereError(f"There is no page {path}.", hint="Open the dashboard's first page.")
    return _UnexpectedError(
        f"Unexpected {type(error).__name__} at {path}.",
        hint="This is a bug: the terminal of the dashboard shows where. Please report it.",
    )
