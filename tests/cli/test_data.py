"""``scalewise data`` and public names wherever a verb reads runs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.public.catalogue import MODULES
from scalewise.sources.public.entry import PublicData, Table
from tests.cli.program import answer, run, simulated_csv
from tests.sources.server import Site, site


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A server on this machine that stands for the source of one data set."""
    monkeypatch.setenv("SCALEWISE_DATA", str(tmp_path / "kept"))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    content = simulated_csv().encode()
    rows = content.count(b"\n") - 1
    with site() as served:
        served.serve("/runs.csv", content)
        raw = served.file("/runs.csv", content)

        def parse(files: Mapping[str, Path]) -> pl.DataFrame:
            return pl.read_csv(files[raw.name])

        data = PublicData(
            key="steplaw", title="Simulated grids", citation="Nobody (2024)", url="https://x",
            licence="MIT", permissive=True, units="params: all; loss: nats/token", files=(raw,),
            tables={
                "runs": Table(parse=parse, rows=rows, runs=rows),
                "fits": Table(parse=parse, rows=rows, runs=None, are_runs=False),
            },
            default_table="runs", notes=("It is simulated.",),
        )  # fmt: skip
        module = importlib.import_module("scalewise.sources.public.steplaw")
        monkeypatch.setattr(module, "DATA", data)
        yield served


def test_the_list_names_every_set_with_size_and_licence(web: Site) -> None:
    shown = run("data", "list")
    assert shown.exit_code == 0
    for name in MODULES:
        assert f"\n{name}" in shown.stdout
    assert "23 data sets by name, 0 of them kept on this machine." in " ".join(shown.stdout.split())
    listed = answer("data", "list")["data"]["data"]
    assert [entry["name"] for entry in listed] == list(MODULES)
    assert {"citation", "licence", "sources", "tables", "kept"} <= set(listed[0])
    assert not web.asked


def test_get_fetches_verifies_and_writes_and_tells_whose_it_is(web: Site, tmp_path: Path) -> None:
    out = tmp_path / "runs.csv"
    got = run("data", "get", "steplaw", "--out", out)
    assert got.exit_code == 0, got.stderr
    for told in ("Nobody (2024)", "MIT", "params: all", "It is simulated."):
        assert told in got.stdout
    assert "Fetching 1 file, " in got.stderr
    assert pl.read_csv(out).height == 20
    again = run("data", "get", "steplaw")
    assert "Fetching" not in again.stderr
    assert web.asked["/runs.csv"] == 1


def test_get_as_json_holds_citation_licence_and_columns(web: Site) -> None:
    data = answer("data", "get", "steplaw")["data"]
    assert (data["name"], data["table"], data["rows"]) == ("steplaw", "runs", 20)
    assert data["licence"] == "MIT"
    assert "params: all; loss: nats/token" in data["assumptions"]
    assert {"params", "tokens", "loss"} <= set(data["columns"])


def test_a_table_may_follow_the_name_and_csv_goes_to_standard_output(web: Site) -> None:
    one, other = (
        run("data", "get", *words, "--out", "-").stdout
        for words in (("steplaw/fits",), ("public:steplaw", "--table", "fits"))
    )
    assert one == other
    assert one.startswith('"run_id","params","tokens","loss"')


def test_a_fetched_table_is_read_by_name_by_other_verbs(web: Site) -> None:
    run("data", "get", "steplaw")
    read = run("runs", "public:steplaw")
    assert read.exit_code == 0
    assert "Read 20 rows of 20 runs from public:steplaw/runs" in read.stderr
    some = answer("runs", "public:steplaw/runs", "--where", "params > 50M")
    assert some["data"]["rows"] == 12
    fitted = answer("fit", "public:steplaw", "--law", "chinchilla", "--bootstrap", "20")
    assert fitted["data"]["runs"] == 20
    assert web.asked["/runs.csv"] == 1


@pytest.mark.parametrize("verb", ["runs", "fit", "backtest"])
def test_other_verbs_fetch_nothing_themselves(web: Site, verb: str) -> None:
    result = run(verb, "public:steplaw")
    assert result.exit_code == RunDataError.exit_code
    assert "are not in" in result.stderr
    assert "scalewise data get steplaw --table runs" in " ".join(result.stderr.split())
    assert not web.asked


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("get",), "Which public data set?"),
        (("list", "steplaw"), "`data list` takes no name"),
        (("get", "steplw"), "Did you mean 'steplaw'?"),
        (("get", "steplaw", "--table", "run"), "Did you mean 'runs'?"),
        (("put", "steplaw"), "put"),
    ],
)
def test_a_malformed_question_is_a_usage_error(
    web: Site, words: tuple[str, ...], told: str
) -> None:
    result = run("data", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_a_source_that_is_gone_is_told_and_exits_with_3(web: Site) -> None:
    web.pages.clear()
    result = run("data", "get", "steplaw", "--json")
    assert result.exit_code == 3
    whole = json.loads(result.stdout)
    assert not whole["ok"]
    assert "answered 404 Not Found" in result.stdout + result.stderr
