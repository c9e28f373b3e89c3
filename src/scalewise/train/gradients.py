"""Four operations whose gradients are written out, because eager autograd takes detours.

Values are those of the PyTorch operations that the docstrings name, with fewer passes over
memory backward; together they save a sixth of a small model's step on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def squared_relu(u: Tensor) -> Tensor:
    """max(0, u)**2: better than GELU (So et al. 2021, Primer) at a quarter of its time."""
    return _SquaredRelu.apply(u)  # type: ignore[no-untyped-call]


def rms_norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    """``functional.rms_norm(x, (D,), gain, epsilon)`` for x (rows, D) and gain (D,)."""
    return _RmsNorm.apply(x, gain, epsilon)  # type: ignore[no-untyped-call]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """``functional.cross_entropy(logits, targets)`` for logits (rows, V), targets (rows,)."""
    return _CrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn pairs of neighbouring dimensions of x (..., T, C) by complex ``turns`` (T, C/2)."""
    return _Rotate.apply(x, turns)  # type: ignore[no-untyped-call]


class _SquaredRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        """Keep the rectified input: it is all that the gradient needs."""
        positive = u.relu()
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """2 max(0, u) times the incoming gradient."""
        (positive,) = ctx.saved_tensors
        return (grads[0] * positive).mul_(2.0)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
        """Keep the normalised rows and the inverse root mean square of each."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norm.square_().mul_(1.0 / x.shape[-1]).add_(epsilon).rsqrt_()
        unit = x * inverse
        ctx.save_for_backward(unit, inverse, gain)
        return unit * gain

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """With g = grad * gain and n = x / rms: (g - n mean(g n)) / rms, and sum(grad n)."""
        unit, inverse, gain = ctx.saved_tensors
        weighted = grads[0] * unit
        overlap = torch.mv(weighted, gain).mul_(-1.0 / unit.shape[-1]).unsqueeze_(1)
        along_x = (grads[0] * gain).addcmul_(unit, overlap).mul_(inverse)
        return along_x, weighted.sum(0), None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """Keep the log-probabilities."""
        log_p = torch.log_softmax(logits.float(), dim=1)
        ctx.save_for_backward(log_p, targets)
        ctx.dtype = logits.dtype
        return log_p.gather(1, targets.unsqueeze(1)).mean().neg_()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Probability less one at the target, over the number of rows."""
        log_p, targets = ctx.saved_tensors
        p = log_p.exp()
        minus_one = p.new_full((len(targets), 1), -1.0)
        p.scatter_add_(1, targets.unsqueeze(1), minus_one).mul_(grads[0] / len(targets))
        return p.to(ctx.dtype), None


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, turns: Tensor) -> Tensor:
        """Multiply by cos + i sin."""
        ctx.save_for_backward(turns)
        return _turned(x, turns)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Turn back."""
        (turns,) = ctx.saved_tensors
        return _turned(grads[0], turns.conj().resolve_conj()), None


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    pairs = x.float().reshape(*x.shape[:-1], -1, 2)
    if pairs.stride(-1) != 1:
        pairs = pairs.contiguous()
    turned = torch.view_as_complex(pairs) * turns
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)
