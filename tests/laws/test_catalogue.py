from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import FormulaError, LawError
from scalewise.forecast.candidates import candidates
from scalewise.laws.catalogue import (
    LAWS,
    PUBLISHED,
    catalogue,
    law_from,
    law_named,
    published_named,
)
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.runs.read import read_runs


def test_a_law_is_found_by_its_key() -> None:
    for key, law in LAWS.items():
        assert law_named(key) is law
        assert law_from(f" {key} ") is law


def test_published_constants_are_found_with_their_law() -> None:
    for key, (law, published) in PUBLISHED.items():
        assert published_named(key) == (law, published)
        assert published in law.published


def test_an_unknown_law_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(LawError, match=r"'chinchila'. Did you mean 'chinchilla'\?"):
        law_from("chinchila")
    with pytest.raises(LawError, match=r"'kaplan-param'. Did you mean 'kaplan-params'\?"):
        law_from("kaplan-param")
    with pytest.raises(LawError, match="Known laws: power, power-pure"):
        law_named("zzz")


def test_unknown_constants_are_refused_with_the_nearest_ones() -> None:
    with pytest.raises(LawError, match=r"Did you mean 'hoffmann2022'\?"):
        published_named("hofmann2022")


def test_a_law_and_a_set_of_constants_are_not_taken_for_each_other() -> None:
    with pytest.raises(LawError, match=r"constants, not a law\. Its law is 'chinchilla'"):
        law_from("besiroglu2024")
    with pytest.raises(LawError, match=r"not a set of constants\. Published for it: hoffmann2022"):
        published_named("chinchilla")
    with pytest.raises(LawError, match="None is published for it"):
        published_named("power")


def test_a_formula_is_a_law() -> None:
    assert law_from("E+A/N**alpha").formula == "E + A / N**alpha"
    with pytest.raises(FormulaError, match="has no input"):
        law_from("A * foo")


def test_a_name_taken_twice_is_an_error() -> None:
    with pytest.raises(LawError, match="'chinchilla' is taken twice, by a law and by a law"):
        catalogue(CHINCHILLA, CHINCHILLA)
    with pytest.raises(LawError, match="'besiroglu2024' is taken twice"):
        catalogue(CHINCHILLA, replace(CHINCHILLA, key="besiroglu2024", published=()))
    with pytest.raises(LawError, match="'hoffmann2022' is taken twice, by chinchilla and by other"):
        catalogue(CHINCHILLA, replace(CHINCHILLA, key="other"))


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        LAWS["mine"] = CHINCHILLA  # type: ignore[index]


def test_a_law_is_named_on_another_count_as_tables_print_it() -> None:
    law = law_from("chinchilla@params_nonembed")
    assert law.key == "chinchilla@params_nonembed"
    assert law.columns == ("params_nonembed", "tokens")
    with pytest.raises(LawError, match="'chinchilla' cannot be stated in 'tokens'"):
        law_from("chinchilla@tokens")
    with pytest.raises(LawError, match="'power-flops' cannot be stated in 'params'"):
        law_from("power-flops@params")


def test_only_laws_of_loss_are_chosen_among() -> None:
    span = np.geomspace(1e7, 1e9, 4)
    columns = ("params", "params_nonembed", "flops", "steps_min", "batch_tokens", "loss")
    table = read_runs([dict.fromkeys(columns, x) | {"tokens": 20 * x} for x in span])
    assert {law.quantity for law in candidates(table)} == {"loss"}


def test_a_law_of_a_choice_keeps_its_published_sets_on_its_own_count_only() -> None:
    assert law_from("lr-by-params").columns == ("params",)
    moved = law_from("lr-by-params@params_nonembed")
    assert (moved.quantity, moved.columns, moved.published) == (
        "lr_peak", ("params_nonembed",), ()
    )  # fmt: skip
