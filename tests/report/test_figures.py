from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalewise.report.card import Axis, FigureSpec, Panel, Series
from scalewise.report.figures import NARROW, WIDE, Layout, svg
from scalewise.report.labels import spread, tick_text, ticks
from scalewise.report.palette import LIGHT, figure_css, parts_by_stand_in
from tests.report.examples import cards

FIGURES = {name: card.figure for name, card in cards().items() if card.figure}


@cache
def drawn(name: str, layout: Layout) -> str:
    return svg(FIGURES[name], layout=layout)


def texts(markup: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(markup).iter("text")]  # noqa: S314


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_names_every_series_axis_and_panel(name: str, layout: Layout) -> None:
    spec = FIGURES[name]
    shown = texts(drawn(name, layout))
    words = " ".join(shown)
    for panel in spec.panels:
        assert panel.title in words
        assert any(panel.x.title in text for text in shown)
        for series in panel.series:
            assert series.label[:30] in words


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_leaves_the_drawing(name: str, layout: Layout) -> None:
    root = ET.fromstring(drawn(name, layout))  # noqa: S314
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert width == layout.width
    for element in root.iter("text"):
        x, y = position(element)
        # 0.52 of the size per letter is wider than the fonts that pages are read in.
        length = 0.52 * float(element.get("font-size", "12")) * len(element.text or "")
        start = {"middle": x - length / 2, "end": x - length}.get(
            element.get("text-anchor", "start"), x
        )
        assert start >= -1.0, element.text
        assert start + length <= width + 1.0, element.text
        assert 0 <= y <= height


def position(element: ET.Element) -> tuple[float, float]:
    moved = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
    if moved:
        return float(moved[1]), float(moved[2])
    return float(element.get("x", "0")), float(element.get("y", "0"))


@pytest.mark.parametrize("name", FIGURES)
def test_labels_beside_a_plot_do_not_overlap(name: str) -> None:
    root = ET.fromstring(drawn(name, WIDE))  # noqa: S314
    labels = {s.label for panel in FIGURES[name].panels for s in panel.series if s.label}
    placed = [position(e) for e in root.iter("text") if e.text in labels]
    for i, (x, y) in enumerate(placed):
        for other_x, other_y in placed[:i]:
            assert abs(x - other_x) > 1.0 or abs(y - other_y) >= 11.0


def test_a_drawing_does_not_depend_on_what_was_drawn_before() -> None:
    first = svg(FIGURES["fit"], name="a")
    svg(FIGURES["backtest"], name="b")
    assert svg(FIGURES["fit"], name="a") == first


def test_colours_are_classes_that_the_style_sheet_defines() -> None:
    css = figure_css()
    for figure in FIGURES:
        markup = drawn(figure, WIDE)
        assert "style=" not in markup
        assert not set(re.findall(r"#[0-9a-f]{6}", markup)) & set(parts_by_stand_in())
        for name in re.findall(r'\b[fs]-[a-z0-9]+(?=[" ])', " ".join(classes(markup))):
            assert f".{name}{{" in css


def classes(markup: str) -> list[str]:
    return re.findall(r'class="([^"]*")', markup)


def test_groups_differ_in_colour_and_marker() -> None:
    panel = next(p for p in FIGURES["held-out"].panels if p.y.scale == "category")
    root = ET.fromstring(svg(FigureSpec("T", "C.", (panel,))))  # noqa: S314
    shapes = {e.get("d") for e in root.iter("path") if e.get("id", "").startswith("figure-m")}
    assert len(shapes) >= 3


@pytest.mark.parametrize("label", ["$x^2$", "日本語 модель", "_hidden", "a" * 300, "&<>\"'"])
def test_odd_labels_are_drawn_as_they_are(label: str) -> None:
    series = Series(mark="points", x=(1.0, 2.0), y=(1.0, 3.0), label=label)
    spec = FigureSpec("T", "C.", (Panel("P", Axis("x"), Axis("y"), (series,)),))
    assert label[:30] in " ".join(texts(svg(spec)))


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_empty_and_odd_values_still_make_a_plot(scale: str) -> None:
    nan, inf = float("nan"), float("inf")
    axis = Axis("x", scale="log" if scale == "log" else "linear")
    for x, y in (((), ()), ((nan,), (nan,)), ((1.0,), (1.0,)), ((1.0, inf), (2.0, nan))):
        series = Series(mark="points", x=x, y=y, label="s")
        assert "<svg" in svg(FigureSpec("T", "C.", (Panel("P", axis, axis, (series,)),)))


def test_a_style_sheet_names_each_part_in_both_themes() -> None:
    css = figure_css()
    assert all(css.count(f"--{part}:") == 2 for part in LIGHT)


def test_more_groups_than_colours_are_told_apart_by_marker() -> None:
    series = tuple(
        Series(mark="points", x=(1.0, 2.0), y=(float(i), i + 1.0), label=f"law {i}")
        for i in range(9)
    )
    spec = FigureSpec("T", "C.", (Panel("P", Axis("x"), Axis("y"), series),))
    shown = texts(svg(spec))
    assert all(f"law {i}" in shown for i in range(9))


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=30),
    st.floats(0.5, 20),
)
def test_labels_keep_their_distance_their_order_and_their_place(
    wanted: list[float], gap: float
) -> None:
    placed = spread(wanted, gap, 0.0, 100.0)
    room = min(gap, 100.0 / max(len(wanted) - 1, 1))
    ordered = sorted(placed)
    assert all(b - a >= room - 1e-6 for a, b in pairwise(ordered))
    assert ordered[0] >= -1e-6
    assert ordered[-1] <= 100 + 1e-6
    for i in range(len(wanted)):
        for j in range(len(wanted)):
            assert not (wanted[i] < wanted[j] and placed[i] > placed[j])


@given(st.floats(-3, 20), st.floats(0.01, 15), st.integers(3, 12))
def test_log_ticks_are_inside_few_and_different(start: float, decades: float, most: int) -> None:
    low, high = 10.0**start, 10.0 ** (start + decades)
    made = ticks(Axis("x", scale="log"), low, high, most)
    assert 1 <= len(made) <= most + 3
    assert all(low * (1 - 1e-6) <= value <= high * (1 + 1e-6) for value, _ in made)
    assert len({text for _, text in made}) == len(made)


def test_ticks_are_written_as_people_write_them() -> None:
    assert tick_text(1e7, "count") == "10M"
    assert tick_text(1e15, "flops") == "1e15"
    assert tick_text(0.05, "signed-percent") == "+5%"
    assert tick_text(-0.05, "signed-percent") == "-5%"
    assert tick_text(2.25, "number") == "2.25"


def test_a_hollow_series_is_drawn_hollow() -> None:
    series = Series(mark="points", x=(1.0,), y=(1.0,), label="s")
    panel = Panel("P", Axis("x"), Axis("y"), (series,))
    full = svg(FigureSpec("T", "C.", (panel,)))
    hollow = svg(FigureSpec("T", "C.", (replace(panel, series=(replace(series, hollow=True),)),)))
    assert "f-c0" in full
    assert "f-c0" not in hollow
