from __future__ import annotations

import json

from scalewise.core.records import to_json
from scalewise.report.envelope import SCHEMA, envelope

KEYS = {"schema", "command", "ok", "data", "warnings", "provenance"}


def test_a_result_has_the_six_keys_and_no_nan() -> None:
    made = json.loads(to_json(envelope("predict", {"loss": float("inf")}, ("far",), {"seed": 0})))
    assert set(made) == KEYS
    assert made["schema"] == SCHEMA
    assert made["ok"] is True
    assert made["data"] == {"loss": None}
    assert made["warnings"] == ["far"]
    assert made["provenance"] == {"seed": 0}
