"""A dashboard under many clients that refit: errors, mixed answers and memory.

    python benchmarks/serve_load.py [--clients 50] [--seconds 60]

Every client uploads runs of its own, made from a law with a floor of its own, and asks for fit
after fit with a new seed, following each job and reading the answer and the payload of the page.
An answer is mixed if it names another run table or another fit than the client's own, or if its
rows are another client's. Memory is that of the server process; workers end with their jobs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fit_speed import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.web.dashboard import Dashboard, is_open, run_table

from scalewise.web.asked import FitQuestion, key_of

APART = 0.15  # nats/token between the floors of neighbours


@dataclass
class Tally:
    """What all clients saw."""

    counts: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, count: int = 1) -> None:
        """Count something once more."""
        with self.lock:
            self.counts[name] += count


class Client:
    """One user with runs of its own."""

    def __init__(self, served: Dashboard, number: int, tally: Tally) -> None:
        self.served, self.number, self.tally = served, number, tally
        content = run_table(lift=APART * number, name=f"client-{number}")
        self.loss = float(content.split(b"\n")[1].split(b",")[3])
        self.runs = served.runs_of({f"client-{number}.csv": content})
        self.sha256 = served.ask(f"/api/runs/{self.runs}").json["provenance"]["data_sha256"]

    def work(self, end: float) -> None:
        """Refit until the end."""
        seed = 0
        while time.monotonic() < end:
            seed += 1
            try:
                self.refit(FitQuestion(runs=self.runs, law="chinchilla", bootstrap=20, seed=seed))
            except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
                self.tally.add(f"error: {type(error).__name__}")

    def refit(self, question: FitQuestion) -> None:
        """Ask for one fit and wait for it."""
        begin = time.monotonic()
        job = self.ask("/api/jobs", question)["data"]["job"]
        while is_open(told := self.ask(f"/api/jobs/{job}")["data"]):
            time.sleep(0.5)
        if told["state"] != "done":
            self.tally.add(f"error: {told}")
            return
        self.check(told["fit"], question)
        with self.tally.lock:
            self.tally.waits.append(time.monotonic() - begin)
        self.tally.add("refits")

    def check(self, fit: str, question: FitQuestion) -> None:
        """Count an answer that is not to the question."""
        whole, page = self.ask(f"/api/fits/{fit}"), self.ask(f"/fits/{fit}/payload.json")
        told = [whole["provenance"], page["provenance"]]
        own = all(t["fit"] == key_of(question) and t["data_sha256"] == self.sha256 for t in told)
        values = page["runs"]["values"]
        named = values["run_id"][0].startswith(f"client-{self.number}-")
        near = abs(values["loss"][0] - self.loss) < 1e-5
        if not (own and named and near):
            self.tally.add("mixed answers")

    def ask(self, path: str, question: FitQuestion | None = None) -> dict[str, Any]:
        """One request, and its answer."""
        begin = time.monotonic()
        answer = (
            self.served.ask(path) if question is None else self.served.post(path, question.record)
        )
        with self.tally.lock:
            self.tally.slowest = max(self.tally.slowest, time.monotonic() - begin)
        self.tally.add("requests")
        if answer.status >= 400:
            self.tally.add(f"error: status {answer.status}")
        return answer.json


def resident(pid: int) -> float:
    """MiB of memory that a process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    print(machine())
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        served = Dashboard(Path(folder) / "project").start()
        try:
            clients = [Client(served, number, tally) for number in range(given.clients)]
            memory = [resident(served.pid)]
            end = time.monotonic() + given.seconds
            threads = [threading.Thread(target=one.work, args=(end,)) for one in clients]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(2)
                memory.append(resident(served.pid))
            held = [round(m, 1) for m in (memory[0], max(memory), memory[-1])]
            traces = served.log.count("Traceback")
        finally:
            served.stop()
    errors = sum(n for name, n in tally.counts.items() if name.startswith("error")) + traces
    print(f"{given.clients} clients for {given.seconds:g} s, and until the last had its answer")
    print(f"refits        {tally.counts['refits']}, median wait {median(tally.waits):.1f} s")
    print(f"requests      {tally.counts['requests']}, slowest {tally.slowest:.2f} s")
    print(f"errors        {errors} {[n for n in tally.counts if n.startswith('error')]}")
    print(f"mixed answers {tally.counts['mixed answers']}")
    print(f"memory, MiB   {held[0]} at start, {held[1]} at most, {held[2]} at end")


if __name__ == "__main__":
    main()
