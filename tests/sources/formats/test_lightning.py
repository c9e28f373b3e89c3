"""Tables in the form of Lightning's CSV logger, by hand: a large tool, a small form."""

from __future__ import annotations

import csv
from pathlib import Path

from scalewise.sources.logs.read import read_logs


def test_a_run_with_settings_is_read_into_a_table(tmp_path: Path) -> None:
    version = tmp_path / "lightning_logs" / "version_3"
    version.mkdir(parents=True)
    with (version / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "lr-AdamW", "step", "train_loss", "val_loss"])
        writer.writeheader()
        for step in range(49, 500, 50):
            writer.writerow({"step": step, "lr-AdamW": 3e-4})
            writer.writerow({"step": step, "epoch": 0, "train_loss": 5 - step / 500})
            if step % 100 == 99:
                writer.writerow({"step": step, "epoch": 0, "val_loss": 5.1 - step / 500})
    (version / "hparams.yaml").write_text("batch_tokens: 2048\nmodel:\n  n_layer: 4\n")
    table = read_logs(tmp_path)
    assert table.column("step").tolist() == [99, 199, 299, 399, 499]
    assert table.column("tokens").tolist() == [2048 * step for step in (99, 199, 299, 399, 499)]
    assert table.column("n_layer").tolist() == [4] * 5
