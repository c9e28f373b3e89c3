"""Our training step against a plain eager PyTorch loop of the same model and batch.

    python benchmarks/train_throughput.py [--repeats 9] [--batch-tokens 512]

Both run in this process, on one thread, by turns; the ratio is the median of the turns' ratios
of processor time. The plain loop is what one would write first: `nn.Module`, `nn.Linear`,
`torch.optim.AdamW`, `clip_grad_norm_`. Its optimizer is also tried with ``fused=True``. The
weights are copied over before the first step, and the losses compared, so that it is the same
model.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from scalewise.core import counting
from scalewise.core.flops import flops_per_token
from scalewise.core.shape import ModelShape
from scalewise.runs.spec import RunSpec
from scalewise.train.learner import Learner
from scalewise.train.process import settle_process
from scalewise.train.shape import BASE_WIDTH, shape_from_width

SIZES = {"100k": (64, 2), "300k": (96, 2), "1M": (192, 2), "3M": (256, 4)}  # width, layers
LR = 0.005


class PlainBlock(nn.Module):
    """Attention and MLP with a residual stream, as in any textbook."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        D, self.heads = shape.d_model, shape.n_head
        self.attention_norm, self.mlp_norm = nn.RMSNorm(D, 1e-6), nn.RMSNorm(D, 1e-6)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.attention_out = nn.Linear(D, D, bias=False)
        self.mlp_in = nn.Linear(D, shape.d_ff, bias=False)
        self.mlp_out = nn.Linear(shape.d_ff, D, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """One block; x is (B, T, D)."""
        B, T, D = x.shape
        q, k, v = (
            part.view(B, T, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        )
        q, k = turned(q, cosine, sine), turned(k, cosine, sine)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(y.transpose(1, 2).reshape(B, T, D))
        return x + self.mlp_out(functional.relu(self.mlp_in(self.mlp_norm(x))).square())


def turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, a * sine + b * cosine), dim=-1)


class PlainModel(nn.Module):
    """Embedding, blocks, head; returns the mean cross-entropy."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.heads = shape.n_head
        self.token_embedding = nn.Embedding(shape.vocab_size, shape.d_model)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.n_layer))
        self.final_norm = nn.RMSNorm(shape.d_model, 1e-6)
        self.head = nn.Linear(shape.d_model, shape.vocab_size, bias=False)
        half = torch.arange(0, shape.d_head, 2) / shape.d_head
        angles = torch.outer(torch.arange(shape.context_length), 10_000.0**-half)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Loss in nats/token."""
        x = self.token_embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        return functional.cross_entropy(self.head(self.final_norm(x)).flatten(0, 1), targets)


class PlainLoop:
    """The loop one would write first, with the same three groups of learning rates."""

    def __init__(self, spec: RunSpec, *, fused: bool) -> None:
        self.model = PlainModel(spec.shape)
        matrices = [p for n, p in self.model.named_parameters() if is_matrix(n, p)]
        others = [p for n, p in self.model.named_parameters() if not is_matrix(n, p)]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "lr": LR * BASE_WIDTH / spec.shape.d_model},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=LR,
            betas=(spec.beta1, spec.beta2),
            weight_decay=spec.weight_decay,
            fused=fused,
        )

    def step(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        """One update."""
        loss = self.model(torch.from_numpy(inputs), torch.from_numpy(targets))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 2 and "embedding" not in name


@torch.no_grad()
def copy_weights(learner: Learner, plain: PlainModel) -> None:
    """Give the plain model our weights; it pairs the halves of a head, we pair neighbours."""
    ours = learner.named_weights()
    for name, parameter in plain.named_parameters():
        name = name.removeprefix("blocks.").replace("embedding.weight", "embedding")
        value = torch.from_numpy(ours[name])
        if name.endswith("qkv.weight"):
            q, k, v = value.view(3, plain.heads, -1, value.shape[1]).unbind(0)
            q, k = (torch.cat((z[:, ::2], z[:, 1::2]), dim=1) for z in (q, k))
            value = torch.stack((q, k, v)).view(value.shape)
        parameter.copy_(value)


def seconds_per_step(step: Callable[[], object], least_seconds: float) -> float:
    steps, start = 0, time.process_time()
    while time.process_time() - start < least_seconds or steps < 3:
        step()
        steps += 1
    return (time.process_time() - start) / steps


def matmul_flops() -> float:
    """Rate of a square fp32 matrix product on one thread, now."""
    a = torch.randn(2048, 2048)
    return 2 * 2048**3 / min(seconds_per_step(lambda: torch.mm(a, a), 0.0) for _ in range(3))


def compare(width: int, layers: int, batch_tokens: int, repeats: int) -> str:
    shape = shape_from_width(width, n_layer=layers)
    spec = RunSpec(
        run_id="bench",
        shape=shape,
        token_budgets=(batch_tokens,),
        batch_tokens=batch_tokens,
        lr_peak=LR,
    )
    draw = np.random.default_rng(0)
    inputs = draw.integers(0, 256, (batch_tokens // 64, 64))
    targets = draw.integers(0, 256, batch_tokens)
    learner = Learner(spec)
    plain, fused = PlainLoop(spec, fused=False), PlainLoop(spec, fused=True)
    for _ in range(5):
        learner.update(inputs, targets, LR)
    copy_weights(learner, plain.model)
    ours = float(learner.losses(inputs, targets).mean())
    theirs = plain.model(torch.from_numpy(inputs), torch.from_numpy(targets)).item()
    assert abs(ours - theirs) < 1e-4 * theirs, (ours, theirs)

    steps: tuple[Callable[[], None], ...] = (
        lambda: learner.update(inputs, targets, LR),
        lambda: plain.step(inputs, targets),
        lambda: fused.step(inputs, targets),
    )
    turns, peak = [], 0.0
    for _ in range(repeats):
        peak = max(peak, matmul_flops())
        turns.append(tuple(seconds_per_step(step, 0.5) for step in steps))
    best = [min(turn[k] for turn in turns) for k in range(3)]
    ratio, fused_ratio = (statistics.median(t[k] / t[0] for t in turns) for k in (1, 2))
    rate = batch_tokens * flops_per_token(shape, "exact") / best[0]
    return (
        f"{counting.params(shape):>9,} {f'{width} x {layers}':>9}"
        f" {best[0] * 1e3:>8.2f} {best[1] * 1e3:>8.2f} {best[2] * 1e3:>8.2f}"
        f" {ratio:>7.2f} {fused_ratio:>7.2f} {batch_tokens / best[0] / 1e3:>8.1f}"
        f" {rate / 1e9:>7.1f} {peak / 1e9:>6.0f} {rate / peak:>6.0%}"
    )


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch-tokens", type=int, default=512)
    options = parser.parse_args()
    settle_process()
    print(f"torch {torch.__version__}, {cpu_name()}, one thread, fp32, {options.batch_tokens}")
    print("tokens per step in contexts of 64; peak: best product of 2048 x 2048 by turns, GFLOP/s")
    print("CPU milliseconds per step (best), ratios of CPU time (median; above 1 we are faster)")
    print(
        f"{'params':>9} {'shape':>9} {'ours':>8} {'plain':>8} {'fused':>8} {'plain/':>7}"
        f" {'fused/':>7} {'ktok/s':>8} {'GFLOP/s':>7} {'peak':>6} {'share':>6}"
    )
    for width, layers in SIZES.values():
        print(compare(width, layers, options.batch_tokens, options.repeats), flush=True)


if __name__ == "__main__":
    main()
