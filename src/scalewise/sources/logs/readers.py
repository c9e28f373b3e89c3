"""The readers, in the order in which they are asked about a file: the first to claim it reads it.

Formats known by their first bytes come first, then those known by their name, then text logs
known by a line, and at the end plain tables.
"""

from __future__ import annotations

from scalewise.sources.logs.hf_trainer import HfTrainerReader
from scalewise.sources.logs.lightning import LightningReader
from scalewise.sources.logs.lm_eval import LmEvalReader
from scalewise.sources.logs.log import Reader
from scalewise.sources.logs.megatron import MegatronReader
from scalewise.sources.logs.mlflow import MlflowReader
from scalewise.sources.logs.nanochat import NanochatReader
from scalewise.sources.logs.nanogpt import NanoGptReader
from scalewise.sources.logs.olmo_core import OlmoReader
from scalewise.sources.logs.table import TableReader
from scalewise.sources.logs.tensorboard import TensorBoardReader
from scalewise.sources.logs.torchtitan import TorchtitanReader
from scalewise.sources.logs.trackio import TrackioReader
from scalewise.sources.logs.wandb import WandbReader
from scalewise.sources.logs.wandb_csv import WandbCsvReader

READERS: tuple[Reader, ...] = (
    WandbReader(),
    TensorBoardReader(),
    MlflowReader(),
    TrackioReader(),
    HfTrainerReader(),
    LmEvalReader(),
    LightningReader(),
    WandbCsvReader(),
    NanochatReader(),
    NanoGptReader(),
    TorchtitanReader(),
    OlmoReader(),
    MegatronReader(),
    TableReader(),  # last: it takes any table
)


def reader_named(key: str) -> Reader:
    """The reader of that key. Raises KeyError if there is none."""
    return {reader.key: reader for reader in READERS}[key]
