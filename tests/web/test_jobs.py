"""Jobs: progress, cancelling, kills, and two users at once."""

from __future__ import annotations

import http.client
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from scalewise.core.records import sha256_of_json
from scalewise.fit.storage import read_fit
from scalewise.runs.read import read_runs
from scalewise.web.asked import FitQuestion, key_of, question_from, question_of
from scalewise.web.refusals import RefusalError
from tests.web.conftest import Starter
from tests.web.dashboard import Dashboard, run_table

LONG = {"law": "auto", "bootstrap": 2000}  # a fit that takes seconds


def workers(served: Dashboard) -> list[int]:
    """The processes that compute for a dashboard, by their command lines."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                words = (place / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"scalewise.web.worker" in words and str(served.folder).encode() in words:
                found.append(int(place.name))
    return found


def asked(runs: str, **extra: Any) -> dict[str, Any]:
    return {"kind": "fit", "runs": runs, **extra}


def test_a_fit_says_how_far_it_is_and_what_it_came_to(dashboard: Dashboard, runs: str) -> None:
    job = dashboard.post("/api/jobs", asked(runs, law="chinchilla", bootstrap=0, seed=7))
    assert job.status == 202
    link = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=120)
    link.request("GET", f"/api/jobs/{job.data['job']}/events")
    answer = link.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    lines = [line for line in answer.read().decode().splitlines() if line.startswith("data: ")]
    link.close()
    told = [json.loads(line.removeprefix("data: ")) for line in lines]
    doing = [one["progress"]["doing"] for one in told if one["progress"]]
    assert "fitting" in doing
    assert [one["progress"]["done"] for one in told if one["progress"]] == sorted(
        one["progress"]["done"] for one in told if one["progress"]
    )
    assert told[-1]["state"] == "done"
    assert told[-1]["fit"] == key_of(FitQuestion(runs=runs, law="chinchilla", bootstrap=0, seed=7))
    assert dashboard.ask(f"/api/fits/{told[-1]['fit']}").status == 200


def test_the_same_question_has_the_same_answer_without_being_computed_again(
    dashboard: Dashboard, runs: str, fit: str
) -> None:
    kept = dashboard.folder / "fits" / fit
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert dashboard.fit_of(runs) == fit
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before


def test_a_cancelled_job_stops_its_process_and_says_so(started: Starter) -> None:
    served = started(workers=1)
    runs = served.runs_of({"runs.csv": run_table()})
    job = served.post("/api/jobs", asked(runs, **LONG)).data["job"]
    served.running(job)
    assert workers(served)
    stopped = served.post(f"/api/jobs/{job}/cancel", {})
    assert stopped.data["state"] == "cancelled"
    served.until(lambda: not workers(served))
    again = served.post(f"/api/jobs/{job}/cancel", {})
    assert (again.status, again.json["error"]["message"]) == (
        409, f"Job {job} has ended: cancelled.",
    )  # fmt: skip
    assert served.post(f"/api/jobs/{job}/resume", {}).status == 409
    assert served.fit_of(runs)  # by a new process


def test_a_process_that_has_answered_takes_the_next_job_and_forgets_the_one_before(
    started: Starter,
) -> None:
    served, fresh = started(workers=1), started("fresh", workers=1)
    runs = served.runs_of({"runs.csv": run_table()})
    (first,) = workers(served)
    other = served.runs_of({"runs.csv": run_table(lift=1.0, name="other")})
    served.fit_of(other, where="params < 5e7", seed=3)
    failed = served.post("/api/jobs", asked(runs, law="no-such-law")).data["job"]
    assert served.ended(failed)["state"] == "failed"
    fit = served.fit_of(runs)
    assert workers(served) == [first]
    assert fresh.fit_of(fresh.runs_of({"runs.csv": run_table()})) == fit
    for name in ("fit.json", "payload.json", "report.html"):
        told, alone = ((d.folder / "fits" / fit / name).read_bytes() for d in (served, fresh))
        assert told == alone, name
    served.kill()
    served.until(lambda: not workers(served))


def test_a_process_that_was_killed_while_it_waited_is_replaced(started: Starter) -> None:
    served = started(workers=1)
    runs = served.runs_of({"runs.csv": run_table()})
    for process in workers(served):
        os.kill(process, 9)
    served.until(lambda: not workers(served))
    assert served.fit_of(runs)


def test_a_job_that_takes_too_long_is_stopped_and_told(started: Starter) -> None:
    served = started(limits={"seconds": 0.01})
    job = served.upload({"runs.csv": run_table()}).data["job"]
    told = served.ended(job)
    assert told["state"] == "failed"
    assert told["error"]["message"] == "The job was stopped after 0.01 seconds."
    assert "scalewise fit" in told["error"]["hint"]
    served.until(lambda: not workers(served))


def test_a_job_that_wants_too_much_memory_is_refused_it(started: Starter) -> None:
    served = started(limits={"memory": 320 * 2**20})
    rows = b"".join(b"run,1e6,%d,3.1\n" % (i + 1) for i in range(3_000_000))
    job = served.upload({"runs.csv": b"run_id,params,tokens,loss\n" + rows}).data["job"]
    told = served.ended(job)
    assert told["state"] == "failed"
    assert "memory" in f"{told['error']['message']} {told['error']['hint']}"
    assert "0.312 GiB" in f"{told['error']['message']} {told['error']['hint']}"
    assert served.runs_of({"runs.csv": run_table()})  # the dashboard goes on


def test_a_waiting_job_can_be_cancelled_and_the_line_has_an_end(started: Starter) -> None:
    served = started(workers=1, limits={"waiting": 2})
    runs = served.runs_of({"runs.csv": run_table()})
    first, second = (
        served.post("/api/jobs", asked(runs, seed=seed, **LONG)).data["job"] for seed in (1, 2)
    )
    full = served.post("/api/jobs", asked(runs, seed=3))
    assert (full.status, full.headers["retry-after"]) == (503, "5")
    assert full.json["error"]["message"] == "2 jobs are waiting already."
    assert served.ask(f"/api/jobs/{second}").data["state"] == "waiting"
    assert served.post(f"/api/jobs/{second}/cancel", {}).data["state"] == "cancelled"
    assert served.post(f"/api/jobs/{first}/cancel", {}).data["state"] == "cancelled"


def test_a_kill_in_the_middle_of_a_fit_loses_nothing_that_was_confirmed(started: Starter) -> None:
    served = started()
    runs = served.runs_of({"runs.csv": run_table()})
    fit = served.fit_of(runs)
    kept = (served.folder / "fits" / fit / "fit.json").read_bytes()
    job = served.post("/api/jobs", asked(runs, law="chinchilla", bootstrap=100)).data["job"]
    served.running(job)
    served.kill()
    served.until(lambda: not workers(served))  # they end with whoever wanted their answer
    served.start()
    told = served.ask(f"/api/jobs/{job}").data
    assert (told["state"], told["asked"]["bootstrap"]) == ("interrupted", 100)
    assert "Resume" in served.ask(f"/jobs/{job}").text
    assert served.ask(f"/api/runs/{runs}").status == 200
    assert (served.folder / "fits" / fit / "fit.json").read_bytes() == kept
    assert len(list((served.folder / "fits").iterdir())) == 1
    assert not list((served.folder / "incoming").iterdir())
    assert served.post(f"/api/jobs/{job}/resume", {}).status == 202
    assert served.ended(job)["state"] == "done"


def test_a_worker_that_dies_is_told(dashboard: Dashboard, runs: str) -> None:
    job = dashboard.post("/api/jobs", asked(runs, seed=11, **LONG)).data["job"]
    dashboard.running(job)
    for process in workers(dashboard):
        os.kill(process, 9)
    told = dashboard.ended(job)
    assert told["state"] == "failed"
    assert told["error"]["message"] == ("The worker process ended with signal 9 and no answer.")


def test_two_users_at_once_get_each_their_own_answer(dashboard: Dashboard) -> None:
    answers: dict[str, list[tuple[str, str, dict[str, Any]]]] = {"low": [], "high": []}

    def work(name: str, lift: float) -> None:
        runs = dashboard.runs_of({"runs.csv": run_table(lift=lift, name=name)})
        sha256 = dashboard.ask(f"/api/runs/{runs}").json["provenance"]["data_sha256"]
        fit = dashboard.fit_of(runs, bootstrap=0)
        answers[name].append((fit, sha256, dashboard.ask(f"/api/fits/{fit}").json))

    users = [threading.Thread(target=work, args=user) for user in (("low", 0.0), ("high", 1.0))]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for name, lift in (("low", 1.7), ("high", 2.7)):
        assert answers[name]
        for fit, sha256, whole in answers[name]:
            assert whole["provenance"]["fit"] == fit == whole["data"]["fit"]
            assert whole["provenance"]["data_sha256"] == sha256
            assert whole["data"]["data"]["theta"]["E"] == pytest.approx(lift, abs=0.15)
            stored = dashboard.folder / "runs" / whole["data"]["runs"] / "runs.parquet"
            assert read_runs(stored).text("run_id")[0] == f"{name}-0-0"
            assert read_runs(stored).sha256 == sha256
            assert read_fit(dashboard.folder / "fits" / fit / "fit.json").sha256 == sha256


def test_runs_that_are_left_out_are_left_out_and_named(dashboard: Dashboard, runs: str) -> None:
    out = ["run-0-0", "run-3-2"]
    fit = dashboard.fit_of(runs, without=out, where="params < 1e9")
    told = dashboard.ask(f"/api/fits/{fit}").data
    assert told["asked"]["without"] == out
    assert told["data"]["runs"] == 10
    form = dashboard.ask(f"/runs/{runs}?fit={fit}").text
    assert form.count(" checked ") == 2
    assert 'value="params &lt; 1e9"' in form


@pytest.mark.parametrize(
    ("extra", "words"),
    [({"law": "no-such-law"}, "no-such-law"), ({"where": "params <"}, "params <"),
     ({"without": ["nobody"]}, "There is no run 'nobody'"),
     ({"where": "params > 1e12"}, "No row satisfies")],
)  # fmt: skip
def test_a_fit_that_cannot_be_is_told_with_fact_and_mend(
    dashboard: Dashboard, runs: str, extra: dict[str, Any], words: str
) -> None:
    job = dashboard.post("/api/jobs", asked(runs, **extra)).data["job"]
    told = dashboard.ended(job)
    assert told["state"] == "failed"
    assert words in told["error"]["message"]
    assert told["error"]["hint"]
    assert str(dashboard.folder) not in json.dumps(told)
    page = dashboard.ask(f"/jobs/{job}").text
    assert 'role="alert"' in page


def test_too_few_sizes_are_told_with_the_cheapest_runs_that_would_do(dashboard: Dashboard) -> None:
    table = b"run_id,params,tokens,loss\na,1e7,2e8,3.1\nb,4e7,8e8,2.9\n"
    runs = dashboard.runs_of({"two.csv": table})
    job = dashboard.post("/api/jobs", asked(runs)).data["job"]
    told = dashboard.ended(job)
    assert (told["state"], told["error"]["exit_code"]) == ("failed", 4)
    assert "the cheapest runs that would: 3.7M on 74M tokens" in told["error"]["message"]
    assert f'href="/runs/{runs}"' in dashboard.ask(f"/jobs/{job}").text


def test_a_fit_is_told_in_the_chapters_of_the_report(dashboard: Dashboard, fit: str) -> None:
    page = dashboard.ask(f"/fits/{fit}").text
    for title in ("Runs", "Health of the runs", "Backtest", "Residuals", "Loss against compute",
                  "Contours of equal loss", "Checklist"):  # fmt: skip
        assert f">{title}</h2>" in page, title


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"kind": "shell"}, "kind 'shell'"), ({"kind": "fit"}, "names no runs"),
     ({"kind": "fit", "runs": "ab", "path": "/etc"}, "no field 'path'"),
     ({"kind": "read", "sources": ["ab"], "watched": "x"}, "no field 'watched'"),
     ({"kind": "fit", "runs": "ab", "seed": "one"}, "seed is 'one'"),
     ({"kind": "fit", "runs": "ab", "seed": 1.5}, "seed is 1.5"),
     ({"kind": "fit", "runs": "ab", "seed": True}, "seed is True"),
     ({"kind": "fit", "runs": "ab", "level": "nan"}, "level is 'nan'"),
     ({"kind": "fit", "runs": "ab", "bootstrap": 1e9}, "bootstrap is"),
     ({"kind": "fit", "runs": "ab", "bootstrap": "inf"}, "bootstrap is"),
     ({"kind": "fit", "runs": "ab", "law": ["chinchilla"]}, "law is"),
     ({"kind": "fit", "runs": "ab", "without": {"a": 1}}, "without is"),
     ({"kind": "fit", "runs": "ab", "without": [1]}, "without is")],
)  # fmt: skip
def test_a_question_that_is_none_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusalError) as refused:
        question_from(fields)
    assert words in refused.value.message
    assert refused.value.hint


def test_a_question_is_the_same_after_it_was_kept() -> None:
    question = question_from(
        {"kind": "fit", "runs": "ab", "without": ["b", "a", "a"], "level": "0.8"}
    )
    assert question_of(json.loads(json.dumps(question.record))) == question
    assert key_of(question) == key_of(
        question_from({"kind": "fit", "runs": "ab", "without": ["a", "b"], "level": 0.8})
    )
    assert key_of(question) != sha256_of_json(question.record)  # the version is in it


def test_bodies_of_another_kind_are_refused(dashboard: Dashboard) -> None:
    for path, kind, body, status in (
        ("/api/jobs", "text/plain", b"{}", 415),
        ("/jobs", "application/json", b"{}", 415),
        ("/api/jobs", "application/json", b"{", 400),
        ("/api/jobs", "application/json", b"[1]", 400),
        ("/api/jobs", "application/json", b"[" * 100_000, 400),
        ("/api/jobs", "application/json", b"\xff", 400),
        ("/jobs", "application/x-www-form-urlencoded", b"kind=fit&kind=read", 400),
        ("/jobs", "application/x-www-form-urlencoded", b"kind=fit&without=x", 400),
    ):
        assert dashboard.ask(path, body, headers={"Content-Type": kind}).status == status


def test_two_dashboards_do_not_serve_one_project(started: Starter) -> None:
    served = started()
    with pytest.raises(AssertionError, match="Another dashboard serves"):
        Dashboard(served.folder).start()
    assert served.ask("/api/").status == 200
