"""The documentation is true: its blocks run, its tables come from the code, nothing is left out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import scalewise
from scalewise.cli.app import VERBS
from scalewise.runs.example import HELD_OUT_SIZES, settled_runs
from tests.pages import FENCE, MARKED, ROOT, TABLES, agrees, picture, run_page, with_tables

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
REFRESH = bool(os.environ.get("REFRESH_DOCS"))
RUNNING = [page for page in PAGES if FENCE.search(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_every_block_of_a_page_runs_and_prints_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    now = run_page(page)
    if REFRESH:
        page.write_text(now, encoding="utf-8")
    for shown, actual in zip(
        FENCE.finditer(page.read_text("utf-8")), FENCE.finditer(now), strict=True
    ):
        assert agrees(shown[2], actual[2]), (
            f"{name_of(page)} shows\n{shown[2]}\nand now it is\n{actual[2]}\n"
            "If that is right, run: make refresh"
        )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_marked_table_is_the_one_that_the_code_has(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- begin") == len(MARKED.findall(text))
    if REFRESH:
        page.write_text(with_tables(text), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == with_tables(text), "run: make refresh"


def test_the_picture_in_the_readme_is_the_forecast_of_the_demo() -> None:
    path, now = DOCS / "images" / "forecast.svg", picture()
    if REFRESH:
        path.parent.mkdir(exist_ok=True)
        path.write_text(now, encoding="utf-8")
    shown = path.read_text(encoding="utf-8")
    words = [" ".join(re.findall(r">([^<>]*)</text>", text)) for text in (shown, now)]
    assert agrees(*words), "run: make refresh"


def test_every_table_that_can_be_written_is_in_a_page() -> None:
    marked = {found[2] for page in PAGES for found in MARKED.finditer(page.read_text("utf-8"))}
    assert marked == set(TABLES)


def test_every_public_name_is_in_the_reference() -> None:
    reference = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    absent = [n for n in scalewise.__all__ if not re.search(rf":: scalewise\.{n}\n", reference)]
    assert not absent


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_help_in_the_docs(verb: str) -> None:
    shown = f"\n$ scalewise {verb} --help\nUsage: scalewise {verb} "
    assert shown in (DOCS / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_every_make_target_and_verb_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```.*?^```$|`[^`]+`", text, re.MULTILINE | re.DOTALL))
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", code, re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"(?:^|`|\$ )scalewise ([a-z]+)", code, re.MULTILINE)) <= set(VERBS)


def test_every_link_to_a_file_leads_somewhere() -> None:
    broken = [
        f"{name_of(page)}: {target}"
        for page in (*PAGES, *OTHERS)
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_how_to_is_found_from_the_readme_and_from_the_first_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in (DOCS / "howto").glob("*.md"):
        assert f"](docs/howto/{page.name})" in readme
        assert f"](howto/{page.name})" in first
        assert f"\nhowto/{page.stem}\n" in first  # the menu


def test_the_readme_tells_how_well_the_example_is_forecast() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "to 3 % or better" in readme
    assert "those of 1000 updates would be forecast 5 % too low" in readme
    shown = scalewise.forecast_held_out(settled_runs(), sizes=HELD_OUT_SIZES).auto.points
    assert max(abs(point.relative_error) for point in shown) <= 0.03
    every = scalewise.forecast_held_out(scalewise.example_runs(), sizes=HELD_OUT_SIZES).auto.points
    fewest = min(point.tokens for point in every)
    short = [point.relative_error for point in every if point.tokens == fewest]
    assert short == pytest.approx([-0.05] * HELD_OUT_SIZES, abs=0.005)


def test_what_is_told_of_continuous_integration_is_what_it_runs() -> None:
    run = re.findall(r"^make \w+", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("\n", " ")
    *others, last = (f"`{target}`" for target in run)
    assert f"`.ci/run` is {', '.join(others)} and {last}." in told


def test_the_tree_in_the_readme_is_the_real_one() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"^src/scalewise/\n((?:[├└].*\n)+)", readme, re.MULTILINE)
    assert tree
    rooms = re.findall(r"^[├└]── (\w+)/ +\S", tree[1], re.MULTILINE)
    assert sorted(rooms) == sorted(
        p.parent.name for p in (ROOT / "src/scalewise").glob("*/__init__.py")
    )


def test_a_shown_output_agrees_with_the_like_and_with_nothing_else() -> None:
    shown = "loss 1.2345 [1.20, 1.30]\n------  --\nfrom 12 runs"
    assert agrees(shown, "loss 1.2346  [1.20, 1.30] --------- from 12 runs")
    assert not agrees(shown, shown.replace("1.2345", "1.3"))
    assert not agrees(shown, shown.replace("runs", "points"))
    assert not agrees(shown, shown.replace("1.20, ", ""))
