"""Weights, moments and the update: everything of a run that a checkpoint has to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalewise.core.errors import UsageError
from scalewise.core.records import sha256_of_bytes
from scalewise.runs.spec import RunSpec
from scalewise.train.batches import Tokens
from scalewise.train.model import GROUPS, Group, Transformer, initial_weights
from scalewise.train.shape import BASE_WIDTH
from scalewise.train.team import ALONE, Gradient, Team

CHUNK_TOKENS = 2048  # evaluation works in pieces that fit the cache; larger ones are no faster
_MOMENTS = ("exp_avg", "exp_avg_sq")


def device_named(name: str) -> torch.device:
    """The device to train on. Raises UsageError for one that is unknown or not there."""
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (kind == "cpu" and number) or not f"0{number}".isdecimal():
        raise UsageError(f"device={name!r} is none.", hint="Use 'cpu', 'cuda' or 'cuda:1'.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device={name!r}, but no GPU is visible.", hint="Use device='cpu'.")
    if kind == "cuda" and int(f"0{number}") >= (count := torch.cuda.device_count()):
        raise UsageError(f"device={name!r}, but {count} GPUs are visible.", hint="Use 'cuda'.")
    return torch.device(name)


class Learner:
    """A model with its AdamW state.

    Hidden matrices and the head learn at ``lr_peak * 32 / d_model``, embeddings, norms and biases
    at ``lr_peak``, so that one peak serves every width (Yang et al. 2022, table 3, for Adam).
    """

    def __init__(self, spec: RunSpec, device: str = "cpu", team: Team = ALONE) -> None:
        self._device = device_named(device)
        self._spec, self._team = spec, team
        self._model = Transformer(spec.shape, self._device)
        first = initial_weights(spec.shape, spec.seed)
        self._flat: dict[Group, Tensor] = {
            group: torch.from_numpy(first[group]).to(self._device).requires_grad_()
            for group in GROUPS
        }
        self._leaves = [leaf for leaf in self._flat.values() if leaf.numel()]
        self._updates = 0
        self._measured = self._flat  # the weights that evaluation sees
        if spec.averaging:
            self._measured = {group: leaf.detach().clone() for group, leaf in self._flat.items()}
        self._optimizer = self._adamw()
        self._loss_sum = torch.zeros((), device=self._device)
        self._loss_count = 0

    def _adamw(self) -> torch.optim.AdamW:
        spec = self._spec
        width_ratio = BASE_WIDTH / spec.shape.d_model
        groups = [
            {
                "params": [self._flat[group]],
                "weight_decay": spec.weight_decay if group == "hidden" else 0.0,
                "lr_scale": width_ratio if group == "hidden" else 1.0,
            }
            for group in GROUPS
            if self._flat[group].numel()
        ]
        optimizer = torch.optim.AdamW(
            groups, lr=0.0, betas=(spec.beta1, spec.beta2), eps=1e-8, fused=True
        )
        for leaf in self._leaves:
            optimizer.state[leaf] = {
                "step": torch.zeros((), device=self._device),
                **{moment: torch.zeros_like(leaf) for moment in _MOMENTS},
            }
        return optimizer

    def update(self, inputs: Tokens, targets: Tokens, lr: float) -> None:
        """One optimizer update; never waits for the device."""
        self._step(*self._gradient(inputs, targets), lr)

    def update_in_parts(
        self, inputs: Tokens, targets: Tokens, lr: float, parts: int
    ) -> tuple[float, float]:
        """One update from the mean gradient of equal parts of the batch.

        Returns the mean of their squared gradient norms, and the squared norm of the mean, both
        before clipping.
        """
        pieces = [
            self._gradient(part, wanted)
            for part, wanted in zip(
                np.array_split(inputs, parts), np.array_split(targets, parts), strict=True
            )
        ]
        small_sq = sum(float(self._norm(grads)) ** 2 for _, grads in pieces) / parts
        loss = torch.stack([loss for loss, _ in pieces]).mean()
        grads = tuple(
            torch.stack(leaf).mean(0) for leaf in zip(*(g for _, g in pieces), strict=True)
        )
        big_sq = float(self._norm(grads)) ** 2
        self._step(loss, grads, lr)
        return small_sq, big_sq

    def _gradient(self, inputs: Tokens, targets: Tokens) -> Gradient:
        return self._team.gradient(self._gradient_here, inputs, targets, self._leaves)

    def _gradient_here(self, inputs: Tokens, targets: Tokens) -> Gradient:
        with self._precision():
            loss = self._model.loss(self._flat, self._sent(inputs), self._sent(targets))
        return loss.detach(), torch.autograd.grad(loss, self._leaves)

    @staticmethod
    def _norm(grads: tuple[Tensor, ...]) -> Tensor:
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))

    def _step(self, loss: Tensor, grads: tuple[Tensor, ...], lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr * group["lr_scale"]
        norm = self._norm(grads)
        torch._foreach_mul_(grads, (self._spec.grad_clip / (norm + 1e-6)).clamp_(max=1.0))
        for leaf, grad in zip(self._leaves, grads, strict=True):
            leaf.grad = grad
        self._optimizer.step()
        self._updates += 1
        if self._spec.averaging:
            self._average()
        self._loss_sum += loss
        self._loss_count += 1

    @torch.no_grad()
    def _average(self) -> None:
        """Draw the measured weights towards the new ones.

        With a weight of 1 / (1 + share * t) at update t the average is of age share * t at any
        time, so that one run serves every length (polynomial-decay averaging, Shamir & Zhang 2013).
        """
        weight = 1.0 / (1.0 + self._spec.averaging * (self._updates - 1))
        for group, leaf in self._flat.items():
            self._measured[group].lerp_(leaf, weight)

    def mean_train_loss(self) -> float:
        """Mean training loss since `restart_train_loss`, NaN once a loss was not finite."""
        return float(self._loss_sum) / max(1, self._loss_count)

    def restart_train_loss(self) -> None:
        """Begin a new mean of the training loss."""
        self._loss_sum.zero_()
        self._loss_count = 0

    @torch.no_grad()
    def losses(self, inputs: Tokens, targets: Tokens) -> Tokens:
        """Cross-entropy of every token, in nats, shape (windows, T)."""
        per_chunk = max(1, CHUNK_TOKENS // inputs.shape[1])
        losses = np.zeros(inputs.shape, np.float32)
        team = self._team
        for start in range(team.rank * per_chunk, len(inputs), team.size * per_chunk):
            chunk = inputs[start : start + per_chunk]
            wanted = targets[start * inputs.shape[1] :][: chunk.size]
            with self._precision():
                logits = self._model.logits(self._measured, self._sent(chunk))
            piece = torch.nn.functional.cross_entropy(
                logits.float(), self._sent(wanted), reduction="none"
            )
            losses[start : start + per_chunk] = piece.cpu().numpy().reshape(chunk.shape)
        return team.gathered(losses)

    def _precision(self) -> torch.autocast:
        is_bf16 = self._spec.precision == "bf16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=is_bf16)

    def _sent(self, tokens: Tokens) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(tokens)).to(self._device)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of all that the next update depends on, by name."""
        copies: dict[str, np.ndarray[Any, Any]] = {
            "train_loss": np.array([float(self._loss_sum), self._loss_count], np.float64)
        }
        for group, leaf in self._flat.items():
            copies[f"{group}.weight"] = leaf.detach().cpu().numpy().copy()
            if self._spec.averaging:
                copies[f"{group}.average"] = self._measured[group].cpu().numpy().copy()
            if leaf.numel():
                state = self._optimizer.state[leaf]
                for moment in _MOMENTS:
                    copies[f"{group}.{moment}"] = state[moment].cpu().numpy().copy()
                copies["updates"] = state["step"].cpu().numpy().copy()
        return copies

    def named_weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of every weight tensor, by name (see `model.weight_slots`)."""
        views = self._model.weights_by_name(self._flat)
        return {name: view.detach().cpu().numpy().copy() for name, view in views.items()}

    def weights_sha256(self) -> str:
        """A checksum of all weights, to compare two runs to the bit."""
        arrays = self.arrays()
        return sha256_of_bytes(b"".join(arrays[f"{group}.weight"].tobytes() for group in GROUPS))

    @torch.no_grad()
    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Continue from what `arrays` returned."""
        loss_sum, count = arrays["train_loss"]
        self._loss_sum.fill_(float(loss_sum))
        self._loss_count = int(count)
        self._updates = int(arrays["updates"])
        for group, leaf in self._flat.items():
            leaf.copy_(torch.from_numpy(arrays[f"{group}.weight"]))
            if self._spec.averaging:
                self._measured[group].copy_(torch.from_numpy(arrays[f"{group}.average"]))
            if leaf.numel():
                state = self._optimizer.state[leaf]
                for moment in _MOMENTS:
                    state[moment].copy_(torch.from_numpy(arrays[f"{group}.{moment}"]))
                state["step"].fill_(float(arrays["updates"]))
