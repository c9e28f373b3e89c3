from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from scalewise.report.card import Axis, Card, Column, FigureSpec, Panel, Series, Table
from scalewise.report.html import drawn_figure, page
from scalewise.report.palette import DARK, LIGHT
from tests.report.examples import HOSTILE, cards

VOID = {"meta", "br", "link", "img", "hr", "input"}
PROVENANCE = {"version": "0.1.0", "command": "scalewise demo", "seed": 0, "date": "2025-01-31"}
CARDS = cards()


class Reader(HTMLParser):
    """Checks nesting and collects what a page holds."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, f"left open: {reader.open}"
    return reader


@pytest.fixture(scope="module")
def html() -> str:
    return page(CARDS.values(), title="A forecast", subtitle="of five runs", provenance=PROVENANCE)


def test_the_page_is_well_formed_and_tells_every_card(html: str) -> None:
    text = read(html).text
    for card in CARDS.values():
        assert " ".join(card.conclusion.split()) in text
        for caveat in card.caveats:
            assert " ".join(caveat.split()) in text
    for value in PROVENANCE.values():
        assert str(value) in text


def test_nothing_is_fetched_and_nothing_runs(html: str) -> None:
    reader = read(html)
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "image", "base"}
    for tag, attributes in reader.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("href", "xlink:href", "src", "data", "action"):
                assert (value or "").startswith("#"), (tag, value)
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(style) == 1
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_the_security_policy_allows_the_style_sheet_alone(html: str) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(
        attributes["content"]
        for tag, attributes in read(html).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_ids_are_unique_and_links_lead_somewhere(html: str) -> None:
    tags = read(html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in tags:
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
        clip = re.fullmatch(r"url\(#(.+)\)", attributes.get("clip-path") or "")
        assert clip is None or clip[1] in ids


def test_two_cards_of_one_title_do_not_clash() -> None:
    read_twice = read(page([CARDS["fit"], CARDS["fit"]], title="Twice"))
    ids = [attributes["id"] for _, attributes in read_twice.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_tables_and_figures_speak_to_a_screen_reader(html: str) -> None:
    tags = read(html).tags
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")
    figures = [attributes for tag, attributes in tags if tag == "svg"]
    drawn = [card.figure for card in CARDS.values() if card.figure]
    assert len(figures) == 2 * len(drawn)
    for spec in drawn:
        said = [a for a in figures if spec.conclusion in (a["aria-label"] or "")]
        assert len(said) >= 2
        assert all(a["role"] == "img" for a in said)
    assert ("html", {"lang": "en"}) in tags
    assert sum(tag == "h1" for tag, _ in tags) == 1


def test_numbers_are_there_unrounded(html: str) -> None:
    assert 'data-value="2.2141"' in html
    assert 'data-value="71000000000.0"' in html


def test_the_same_cards_give_the_same_bytes() -> None:
    once, again = (
        page([made["frontier"], made["fit"]], title="T", provenance=PROVENANCE)
        for made in (CARDS, cards())
    )
    assert once == again


def test_hostile_names_stay_text() -> None:
    card = Card(
        title=HOSTILE,
        conclusion=HOSTILE,
        table=Table((Column(HOSTILE, HOSTILE),), ((HOSTILE,),)),
        facts=CARDS["fit"].facts,
        caveats=(HOSTILE,),
        figure=CARDS["frontier"].figure,
    )
    spec = card.figure
    assert spec is not None
    panel = spec.panels[0]
    series = tuple(replace(s, label=f"{HOSTILE}{i}") for i, s in enumerate(panel.series))
    spec = replace(spec, title=HOSTILE, panels=(replace(panel, title=HOSTILE, series=series),))
    made = page(
        [replace(card, figure=spec)], title=HOSTILE, subtitle=HOSTILE,
        provenance={HOSTILE: HOSTILE},
    )  # fmt: skip
    reader = read(made)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert "<script>alert('x')</script>" in reader.text
    for sign in ("\u202e", "\x1b"):
        assert sign not in made
    title = next(a for tag, a in reader.tags if tag == "svg")["aria-label"]
    assert "<script>" in (title or "")


def test_the_page_can_be_printed_and_read_in_the_dark(html: str) -> None:
    assert "@media print" in html
    assert "prefers-color-scheme:dark" in html
    assert "prefers-reduced-motion" in html
    assert 'name="viewport"' in html


def luminance(colour: str) -> float:
    shares = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_meets_wcag_aa(theme: dict[str, str]) -> None:
    for part in ("ink", "soft"):
        assert contrast(theme[part], theme["paper"]) >= 4.5
    for part in ("quiet", "rule"):
        assert contrast(theme[part], theme["paper"]) >= 3.0


def test_links_and_caveats_meet_wcag_aa(html: str) -> None:
    blocks = re.findall(r":root\{([^}]*--link[^}]*)\}", html)
    assert len(blocks) == 2
    for block, theme in zip(blocks, (LIGHT, DARK), strict=True):
        colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block))
        assert contrast(colours["link"], theme["paper"]) >= 4.5
        assert contrast(colours["link"], colours["raised"]) >= 4.5
        assert contrast(theme["soft"], colours["raised"]) >= 4.5
        assert contrast(colours["warnink"], colours["warn"]) >= 4.5


def test_a_figure_of_more_points_than_can_be_seen_is_thinned_and_says_so() -> None:
    def drawn(count: int) -> str:
        values = tuple(float(i + 1) for i in range(count))
        axis = Axis("x", scale="log")
        points = Series(mark="points", x=values, y=values, label="runs")
        return drawn_figure(FigureSpec("T", "C.", (Panel("P", axis, axis, (points,)),)), "f")

    few, many = drawn(2000), drawn(20_000)
    assert "evenly taken" not in few
    assert "C. At most 3000 of its points are drawn, evenly taken." in many
    assert few.count("<use") > 2000
    assert many.count("<use") < 2 * 3100  # in the wide drawing and in the narrow one
