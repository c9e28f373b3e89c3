from __future__ import annotations

import copy
import pickle

import pytest

from scalewise.core import errors
from scalewise.core.errors import (
    FormulaError,
    GateError,
    LawError,
    MissingExtraError,
    RunDataError,
    ScalewiseError,
    UnfitDataError,
    UsageError,
)

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_crosses_processes_with_its_hint(kind: type[ScalewiseError]) -> None:
    error = kind("loss=-1 in row 3.", hint="Drop it.")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(twin) is kind
        assert (twin.message, twin.hint) == ("loss=-1 in row 3.", "Drop it.")
        assert str(twin) == "loss=-1 in row 3. Drop it."


def test_an_error_without_a_hint_is_its_message() -> None:
    assert str(ScalewiseError("No runs.")) == "No runs."


@pytest.mark.parametrize(
    ("kind", "parent", "exit_code"),
    [
        (UsageError, ScalewiseError, 2),
        (FormulaError, UsageError, 2),
        (LawError, UsageError, 2),
        (MissingExtraError, UsageError, 2),
        (RunDataError, ScalewiseError, 3),
        (UnfitDataError, ScalewiseError, 4),
        (GateError, ScalewiseError, 5),
    ],
)
def test_the_hierarchy_and_its_exit_codes(
    kind: type[ScalewiseError], parent: type[ScalewiseError], exit_code: int
) -> None:
    assert kind.__base__ is parent
    assert kind.exit_code == exit_code


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_of_the_docstring(kind: type[ScalewiseError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__name__.endswith("Error")
    assert kind.__doc__
