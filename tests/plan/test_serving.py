from __future__ import annotations

import pytest

from scalewise.core.compute import accelerator_named, gpu_hours
from scalewise.core.errors import UsageError
from scalewise.plan.allocate import Interval
from scalewise.plan.serving import Machines, ServingCost, bill

H100, L40S = accelerator_named("h100"), accelerator_named("l40s")
WORK = Interval(value=1e22, low=0.8e22, high=1.3e22)


def paid(machines: Machines, **utilisation: float) -> tuple[float, float, float]:
    serving = ServingCost(**utilisation, price_ratio=machines.price_ratio)
    # Equal work in training and in serving.
    total = Interval(value=WORK.value * (1 + serving.per_flop), low=WORK.low, high=WORK.high)
    found = bill(
        training_flops=WORK, serving_flops=WORK, cost=total, serving=serving, machines=machines
    )
    assert found.money is not None
    return found.training_hours.value, found.serving_hours.value, found.money.value


def test_hours_are_those_of_each_chip_at_its_utilisation() -> None:
    machines = Machines(training=H100, serving=L40S, price=2.0, serving_price=0.5)
    training, serving, _ = paid(machines, training_mfu=0.4, output_mfu=0.1)
    assert training == pytest.approx(gpu_hours(1e22, H100, 0.4))
    assert serving == pytest.approx(gpu_hours(1e22, L40S, 0.1))


def test_money_is_hours_times_their_prices() -> None:
    for machines in (
        Machines(training=H100, serving=L40S, price=2.0, serving_price=0.5),
        Machines(training=H100, serving=H100, price=2.1),
    ):
        training, serving, money = paid(machines, training_mfu=0.4, output_mfu=0.1)
        hourly = machines.serving_price or machines.price
        assert machines.price is not None
        assert hourly is not None
        assert money == pytest.approx(training * machines.price + serving * hourly)


def test_reading_and_writing_take_the_time_that_each_takes() -> None:
    cost = ServingCost(training_mfu=0.4, input_mfu=0.4, output_mfu=0.1, input_share=0.75)
    # Three tokens in four at 0.4 and one at 0.1 take as long as four at 4/17.5.
    assert cost.serving_mfu == pytest.approx(1 / (0.75 / 0.4 + 0.25 / 0.1))
    assert cost.per_flop == pytest.approx(0.4 * 4.375)


def test_without_prices_an_hour_of_either_chip_counts_the_same() -> None:
    machines = Machines(training=H100, serving=L40S)
    assert machines.price_ratio == pytest.approx(H100.peak_flops / L40S.peak_flops)
    found = bill(
        training_flops=WORK, serving_flops=WORK, cost=WORK, serving=ServingCost(),
        machines=machines,
    )  # fmt: skip
    assert found.money is None


def test_intervals_keep_their_proportions() -> None:
    found = bill(
        training_flops=WORK, serving_flops=WORK, cost=WORK, serving=ServingCost(),
        machines=Machines(training=H100, serving=H100, price=3.0),
    )  # fmt: skip
    for interval in (found.training_hours, found.serving_hours, found.money):
        assert interval is not None
        assert interval.low / interval.value == pytest.approx(0.8)
        assert interval.high / interval.value == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [({"input_share": 1.5}, "input_share=1.5 is no share"),
     ({"training_mfu": 0.0}, "training_mfu=0.0 is no share"),
     ({"price_ratio": 0.0}, "price_ratio=0.0 is no ratio"),
     ({"price_ratio": float("nan")}, "price_ratio=nan is no ratio")],
)  # fmt: skip
def test_costs_that_are_none_are_refused(changes: dict[str, float], fact: str) -> None:
    with pytest.raises(UsageError, match=fact):
        ServingCost(**changes)
