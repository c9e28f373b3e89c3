"""An MLflow server, asked through MLflow's own client: ``mlflow:http://HOST:PORT/EXPERIMENT``.

MLflow signs in by itself (its environment variables); no key is asked for, read or repeated here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from scalewise.core.errors import RunDataError, ScalewiseError, UsageError
from scalewise.core.optional import require
from scalewise.runs.quote import bare, listed, quoted
from scalewise.sources.logs.log import Log, Wanted
from scalewise.sources.logs.mlflow import run_log, value_of
from scalewise.sources.logs.points import WALL_TIME, Points

SERVER = "mlflow:"  # begins an address

_PAGE = 100
_MOST_RUNS = 10_000
_SECONDS = 10.0  # to be answered at all; MLflow itself would try again for minutes
_FORM = "Write mlflow:http://127.0.0.1:5000/EXPERIMENT, the experiment by name or number."


def read_server(address: str, *, wanted: Wanted | None = None) -> list[Log]:
    """The runs of one experiment on a server, every point of every metric.

    Raises UsageError for another form of address, MissingExtraError without the ``mlflow`` extra,
    and RunDataError if the server does not answer or has no such experiment.
    """
    parts = urlsplit(address.removeprefix(SERVER))
    root, _, experiment = parts.path.rstrip("/").rpartition("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not experiment:
        raise UsageError(f"{quoted(_shown(parts))} names no experiment.", hint=_FORM)
    package = require("mlflow", extra="mlflow", why="to ask an MLflow server")
    _knock(parts)
    client = package.MlflowClient(tracking_uri=f"{parts.scheme}://{parts.netloc}{root}")
    try:
        return list(_runs(client, unquote(experiment), _shown(parts), wanted))
    except ScalewiseError:
        raise
    except Exception as error:
        # Only the kind is told: what a server answers may repeat the request with its key.
        raise RunDataError(
            f"The MLflow server at {_shown(parts)} refused: {type(error).__name__}.",
            hint="Check the address, and that MLflow's own client may read it.",
        ) from None


def _runs(client: Any, experiment: str, source: str, wanted: Wanted | None) -> Iterator[Log]:
    found = client.get_experiment_by_name(experiment)
    if found is None and experiment.isdecimal():
        found = client.get_experiment(experiment)
    if found is None:
        names = [one.name for one in client.search_experiments(max_results=50)]
        raise RunDataError(
            f"There is no experiment {quoted(experiment)} at {source}.",
            hint=f"Experiments: {listed(names)}.",
        )
    token, count = None, 0
    while count < _MOST_RUNS:
        page = client.search_runs([found.experiment_id], max_results=_PAGE, page_token=token)
        for run in page:
            yield _log(client, run, found.name, source, wanted)
        count += len(page)
        token = page.token
        if not token:
            break
    if not count:
        raise RunDataError(
            f"Experiment {quoted(experiment)} at {source} holds no run.", hint="Log a run first."
        )


def _log(client: Any, run: Any, experiment: str, source: str, wanted: Wanted | None) -> Log:
    points = Points()
    for key in run.data.metrics:
        if wanted is not None and not wanted(key):
            continue
        history = client.get_metric_history(run.info.run_id, key)
        for one in sorted(history, key=lambda metric: metric.timestamp):
            points.add(one.step, key, value_of(one.value))
            points.add(one.step, WALL_TIME, one.timestamp / 1e3)
    about = (run.info.run_name, run.info.status, experiment)
    return run_log(source, run.info.run_id, about, points, dict(run.data.params), 0)


def _knock(parts: SplitResult) -> None:
    """Fail soon where nobody listens. Raises RunDataError."""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((str(parts.hostname), port), _SECONDS).close()
    except (OSError, ValueError) as error:
        raise RunDataError(
            f"No server answers at {_shown(parts)}: {bare(str(error), 80)}.",
            hint="Start it with `mlflow server`, or correct the address.",
        ) from error


def _shown(parts: SplitResult) -> str:
    """The address without what may be a password."""
    host = parts.netloc.rpartition("@")[2]
    return bare(f"{parts.scheme}://{host}{parts.path}", 120)
