from __future__ import annotations

import pytest

from scalewise.laws.catalogue import LAWS
from tests.cli.program import answer, run


def test_the_table_lists_every_law() -> None:
    listed = run("laws").stdout
    for key in LAWS:
        assert f"\n{key}" in listed


@pytest.mark.parametrize("key", LAWS)
def test_one_law_is_told_in_full(key: str) -> None:
    shown = run("laws", key)
    assert shown.exit_code == 0
    data = answer("laws", key)["data"]
    assert data["formula"] == LAWS[key].formula
    assert [c["name"] for c in data["constants"]] == list(LAWS[key].constant_names)
    for published in LAWS[key].published:
        assert published.key in shown.stdout


def test_infinite_bounds_are_null_in_json() -> None:
    bounds = answer("laws", "chinchilla")["data"]["constants"][0]["bounds"]
    assert bounds == [0.0, None]


def test_the_name_of_published_constants_shows_their_law() -> None:
    assert answer("laws", "besiroglu2024")["data"]["law"] == "chinchilla"


def test_a_formula_is_shown_as_the_law_it_is() -> None:
    constants = answer("laws", "E + A / tokens**beta")["data"]["constants"]
    units = {constant["name"]: constant["unit"] for constant in constants}
    assert units["A"] == "nats/token * tokens**beta"


def test_an_unknown_law_names_the_nearest() -> None:
    result = run("laws", "chinchila")
    assert result.exit_code == 2
    assert "Did you mean 'chinchilla'?" in result.stderr


def test_the_laws_stand_in_groups_by_what_they_predict() -> None:
    listed = run("laws").stdout
    places = [listed.index(f"\n{title}\n") for title in ("Laws of downstream error",
                                                         "Laws of a choice")]  # fmt: skip
    assert listed.startswith("Laws of loss\n")
    assert places[0] < listed.index("\nerror-sigmoid") < places[1] < listed.index("\nlr-by-flops")
    assert "Published: deepseek2024-lr." in " ".join(listed.split())
    assert listed.count("Published constants hold for") == 1


def test_a_law_in_one_unit_says_so() -> None:
    shown = run("laws", "farseer").stdout
    assert "holds for params and tokens in their own unit" in shown
    assert "share one unit" in run("laws", "data-constrained").stdout
