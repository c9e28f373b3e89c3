"""From FLOPs to machines and money: PF-days, accelerator-hours, utilisation, price.

Prices are the user's: they change weekly and differ by contract, so none is built in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType

from scalewise.core.errors import UsageError

PF_DAY = 8.64e19
"""FLOPs of one PF-day: 1e15 FLOP/s for 86,400 s (Kaplan et al. 2020)."""

SECONDS_PER_HOUR = 3600.0
HOURS_PER_DAY = 24.0


def _positive(name: str, value: float, unit: str) -> float:
    if not (isfinite(value) and value > 0):
        raise UsageError(
            f"{name}={value:g} ({unit}) is not a positive, finite number.",
            hint=f"Give {name} above 0, in {unit}.",
        )
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One chip. ``peak_flops`` is the dense bf16 matrix rate in FLOP/s, without sparsity.

    ``memory_bytes`` is the advertised capacity in decimal bytes; ``as_of`` the month (YYYY-MM) in
    which ``source`` said so. Raises UsageError unless both numbers are positive and finite.
    """

    name: str
    peak_flops: float
    memory_bytes: float
    source: str
    as_of: str

    def __post_init__(self) -> None:
        _positive("peak_flops", self.peak_flops, "FLOP/s")
        _positive("memory_bytes", self.memory_bytes, "bytes")


def _table(*rows: tuple[str, str, float, float, str]) -> Mapping[str, Accelerator]:
    return MappingProxyType(
        {
            key: Accelerator(
                name=name,
                peak_flops=teraflops * 1e12,
                memory_bytes=gigabytes * 1e9,
                source=source,
                as_of="2026-11",
            )
            for key, name, teraflops, gigabytes, source in rows
        }
    )


# Vendors print many rates with 2:4 sparsity, which training cannot use: those are halved here.
ACCELERATORS: Mapping[str, Accelerator] = _table(
    ("a100", "NVIDIA A100 SXM 80GB", 312, 80, "NVIDIA A100 datasheet"),
    ("a100-40gb", "NVIDIA A100 40GB", 312, 40, "NVIDIA A100 datasheet"),
    ("h100", "NVIDIA H100 SXM5", 989.4, 80, "NVIDIA H100 architecture white paper"),
    ("h100-pcie", "NVIDIA H100 PCIe", 756, 80, "NVIDIA H100 architecture white paper"),
    ("h200", "NVIDIA H200 SXM", 989.5, 141, "NVIDIA H200 datasheet (1979 sparse, halved)"),
    ("b200", "NVIDIA B200 (HGX)", 2250, 180, "NVIDIA DGX B200 datasheet (4500 sparse, halved)"),
    ("l40s", "NVIDIA L40S", 362.05, 48, "NVIDIA L40S datasheet"),
    ("rtx3090", "NVIDIA GeForce RTX 3090", 71, 24, "NVIDIA GA102 architecture white paper"),
    ("rtx4090", "NVIDIA GeForce RTX 4090", 165.2, 24, "NVIDIA Ada architecture white paper"),
    ("mi300x", "AMD Instinct MI300X", 1307.4, 192, "AMD Instinct MI300X data sheet"),
    ("mi325x", "AMD Instinct MI325X", 1307.4, 256, "AMD Instinct MI325X data sheet"),
    ("tpu-v4", "Google TPU v4", 275, 32, "Google Cloud TPU v4 documentation"),
    ("tpu-v5e", "Google TPU v5e", 197, 16, "Google Cloud TPU v5e documentation"),
    ("tpu-v5p", "Google TPU v5p", 459, 95, "Google Cloud TPU v5p documentation"),
    ("tpu-v6e", "Google TPU v6e (Trillium)", 918, 32, "Google Cloud TPU v6e documentation"),
)


def accelerator_named(key: str) -> Accelerator:
    """The accelerator with that key, in any case; UsageError lists the known ones.

    >>> accelerator_named("H100").memory_bytes
    80000000000.0
    """
    try:
        return ACCELERATORS[key.strip().lower()]
    except KeyError:
        raise UsageError(
            f"No accelerator named {key!r}.",
            hint=f"Known: {', '.join(ACCELERATORS)}. Describe any other with Accelerator(...).",
        ) from None


def pf_days(flops: float) -> float:
    """FLOPs as PF-days of 8.64e19 FLOP.

    >>> pf_days(8.64e22)
    1000.0
    """
    return _positive("flops", flops, "FLOP") / PF_DAY


def gpu_hours(flops: float, accelerator: Accelerator, mfu: float) -> float:
    """Accelerator-hours for ``flops`` at a utilisation: flops / (peak_flops mfu 3600 s).

    ``mfu`` is the share of the dense bf16 peak, in (0, 1], by the same FLOP rule as ``flops``.

    >>> round(gpu_hours(5.88e23, accelerator_named("h100"), mfu=0.4))
    412708
    """
    rate = accelerator.peak_flops * _share("mfu", mfu)
    return _positive("flops", flops, "FLOP") / (rate * SECONDS_PER_HOUR)


def flops_from_gpus(gpus: int, days: float, accelerator: Accelerator, mfu: float) -> float:
    """FLOPs that ``gpus`` chips deliver in ``days`` at a utilisation.

    >>> f"{flops_from_gpus(512, 14, accelerator_named('h100'), mfu=0.4):.3g}"
    '2.45e+23'
    """
    hours = _positive("gpus", gpus, "chips") * _positive("days", days, "days") * HOURS_PER_DAY
    return hours * SECONDS_PER_HOUR * accelerator.peak_flops * _share("mfu", mfu)


def price(gpu_hours: float, price_per_gpu_hour: float) -> float:
    """Cost of ``gpu_hours`` in the currency of ``price_per_gpu_hour``.

    >>> price(1000, 2.1)
    2100.0
    """
    hours = _positive("gpu_hours", gpu_hours, "hours")
    return hours * _positive("price_per_gpu_hour", price_per_gpu_hour, "currency per hour")


def _share(name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise UsageError(
            f"{name}={value:g} does not lie in (0, 1].",
            hint=f"Give {name} as a share of the peak, such as 0.4 for 40 %.",
        )
    return float(value)
