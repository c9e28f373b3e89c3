from __future__ import annotations

import json

from scalewise.core.errors import UnfitDataError
from scalewise.core.records import to_json
from scalewise.report.envelope import SCHEMA, envelope, error_envelope

KEYS = {"schema", "command", "ok", "data", "warnings", "provenance"}


def test_a_result_has_the_six_keys_and_no_nan() -> None:
    made = json.loads(to_json(envelope("predict", {"loss": float("inf")}, ("far",), {"seed": 0})))
    assert set(made) == KEYS
    assert made["schema"] == SCHEMA
    assert made["ok"] is True
    assert made["data"] == {"loss": None}
    assert made["warnings"] == ["far"]
    assert made["provenance"] == {"seed": 0}


def test_a_deliberate_error_keeps_its_hint_and_exit_code() -> None:
    made = error_envelope("fit", UnfitDataError("Two sizes.", hint="Add one."))
    assert set(made) == KEYS
    assert made["ok"] is False
    assert made["data"] == {
        "error": "UnfitDataError", "message": "Two sizes.", "hint": "Add one.", "exit_code": 4,
    }  # fmt: skip


def test_a_bug_is_an_error_of_exit_code_one() -> None:
    made = error_envelope("fit", KeyError("x"))
    assert made["data"] == {"error": "KeyError", "message": "'x'", "hint": "", "exit_code": 1}
