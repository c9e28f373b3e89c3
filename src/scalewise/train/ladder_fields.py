"""The fields of a ladder file, checked; kept apart because pydantic is slow to import."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from scalewise.core.shape import Norm, Positions
from scalewise.runs.spec import Precision, Schedule


class ShapeFields(BaseModel):
    """Fields of ModelShape that do not follow from the width; None leaves the usual value."""

    model_config = ConfigDict(extra="forbid")

    n_head: PositiveInt | None = None
    n_kv_head: PositiveInt | None = None
    d_head: PositiveInt | None = None
    d_ff: PositiveInt | None = None
    gated_mlp: bool | None = None
    attention_bias: bool | None = None
    mlp_bias: bool | None = None
    norm: Norm | None = None
    positions: Positions | None = None
    tied_head: bool | None = None


class ScanFields(BaseModel):
    """A scan of batch sizes: these widths with all of these batch sizes."""

    model_config = ConfigDict(extra="forbid")

    widths: list[PositiveInt] = Field(min_length=1)
    batch_tokens: list[PositiveInt] = Field(min_length=1)
    token_budgets: list[int | float | str] = []
    seeds: list[NonNegativeInt] = []


class LadderFields(BaseModel):
    """One ladder: every width with every batch size and seed, at every token budget."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="ladder", min_length=1)
    widths: list[PositiveInt] = Field(min_length=1)
    token_budgets: list[int | float | str] = Field(min_length=1)
    batch_tokens: list[PositiveInt] = Field(default=[512], min_length=1)
    seeds: list[NonNegativeInt] = Field(default=[0], min_length=1)
    corpus: str = "stdlib"
    tokenizer: str = "bytes"
    n_layer: PositiveInt | None = None
    context_length: PositiveInt = 64
    lr_peak: float | None = None
    schedule: Schedule = "wsd"
    warmup_steps: int = Field(default=100, ge=0)
    decay_fraction: float = 0.2
    weight_decay: float = Field(default=0.1, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    grad_clip: float = Field(default=1.0, gt=0)
    eval_tokens: PositiveInt = 262_144
    eval_points: int = Field(default=24, ge=0)
    precision: Precision = "fp32"
    averaging: float = Field(default=0.0, ge=0, lt=1)
    batch_stages: list[tuple[PositiveInt, PositiveInt]] = []
    stop_loss: float = Field(default=0.0, ge=0)
    noise_every: int = Field(default=0, ge=0)
    scan: ScanFields | None = None
    shape: ShapeFields = ShapeFields()
