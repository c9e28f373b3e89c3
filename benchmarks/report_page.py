"""How large the interactive page is, how soon it paints, how quickly it answers.

Run by hand with a Chromium: ``python benchmarks/report_page.py``. Sizes are of whole reports as
the command writes them, with a backtest and every card; times are medians in a headless browser.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from click.testing import CliRunner
from playwright.sync_api import Browser, sync_playwright

from scalewise.cli.app import app
from scalewise.fit.engine import fit
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.health import check_health
from scalewise.runs.read import read_runs

CHANGES = 30
ANSWER = """async (changes) => {
  const box = document.querySelector("input.amount"), times = [];
  for (let i = 0; i < changes; i++) {
    const start = performance.now();
    box.value = String(1e22 * (1 + i));
    box.dispatchEvent(new Event("change"));
    const scripted = performance.now() - start;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push([scripted, performance.now() - start]);
  }
  return times;
}"""


def table(runs: int, checkpoints: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    sizes = np.geomspace(1e7, 3e9, 10)
    params = np.repeat(np.resize(sizes, runs), checkpoints)
    last = 10 ** rng.uniform(9.5, 11.5, runs)
    tokens = (np.geomspace(1e-3, 1, checkpoints)[None] * last[:, None]).ravel()
    loss = 1.7 + 480 / params**0.35 + 2100 / tokens**0.37
    return pl.DataFrame({
        "run_id": np.repeat([f"run-{i:05d}" for i in range(runs)], checkpoints),
        "params": params, "tokens": tokens,
        "loss": loss * np.exp(0.003 * rng.standard_normal(len(loss))),
        "is_final": np.tile(np.arange(checkpoints) == checkpoints - 1, runs),
    })  # fmt: skip


def reported(folder: Path, runs: int, checkpoints: int) -> Path:
    source, out = folder / f"{runs}.parquet", folder / f"{runs}.html"
    table(runs, checkpoints).write_parquet(source)
    started = time.process_time()
    result = CliRunner().invoke(app, ["report", str(source), "--out", str(out)])
    assert result.exit_code == 0, result.output
    size = out.stat().st_size / 1e6
    took = time.process_time() - started
    print(f"{runs} runs, {runs * checkpoints:,} points: {size:.2f} MB, written in {took:.1f} CPU-s")
    return out


def painted(browser: Browser, page: Path) -> None:
    times = []
    for _ in range(7):
        tab = browser.new_page()
        tab.goto(page.as_uri())
        tab.wait_for_function(
            "() => performance.getEntriesByName('first-contentful-paint').length > 0"
        )
        times.append(float(tab.evaluate(
            "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )))  # fmt: skip
        tab.close()
    print(f"  first contentful paint {statistics.median(times):.0f} ms (worst {max(times):.0f})")


def answered(browser: Browser, page: Path) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("#answer")
    found = tab.evaluate(ANSWER, CHANGES)
    for name, times in zip(
        ("computed and drawn", "on screen"), zip(*found, strict=True), strict=True
    ):
        print(f"  a change {name}: {statistics.median(times):.0f} ms (worst {max(times):.0f})")
    tab.close()


def main() -> None:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-sync"]
        )
        for runs, checkpoints in ((50, 40), (500, 200)):
            page = reported(folder, runs, checkpoints)
            painted(browser, page)
            answered(browser, page)
        runs_read = read_runs(table(50, 40))
        result = fit("chinchilla", runs_read, bootstrap=500)
        single = folder / "draws.html"
        content = payload(result, runs_read, findings=check_health(runs_read), title="500 draws")
        single.write_text(interactive_page(content), encoding="utf-8")
        print(f"one law with {len(result.draws)} draws: {single.stat().st_size / 1e6:.2f} MB")
        painted(browser, single)
        answered(browser, single)
        browser.close()


if __name__ == "__main__":
    main()
