"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from scalewise.core.errors import UsageError
from scalewise.core.quantities import check_level, parse_count, parse_quantity

if TYPE_CHECKING:
    from scalewise.fit.priors import Prior

Read = Callable[[str], Any]


def quantity(flag: str, help: str, **extra: Any) -> click.Option:  # noqa: A002 - click's word
    """A positive number as people write it: 7B, 2T, 1e24."""
    return _option(flag, lambda text: parse_quantity(text, name=flag), help, **extra)


def count(flag: str, help: str, *, zero: bool = False, **extra: Any) -> click.Option:  # noqa: A002
    """A whole number."""
    read = lambda text: parse_count(text, name=flag, allow_zero=zero)  # noqa: E731
    return _option(flag, read, help, **extra)


def _option(
    flag: str,
    read: Read,
    help: str,  # noqa: A002
    *,
    name: str | None = None,
    **extra: Any,
) -> click.Option:
    def convert(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        return None if value is None else read(value)

    extra = {"metavar": "NUMBER", "show_default": "default" in extra, **extra}
    declared = [flag] if name is None else [flag, name]
    return click.Option(declared, type=str, callback=convert, help=help, **extra)


def level() -> click.Option:
    """The probability of the intervals."""
    return _option("--level", _probability, "Probability of the intervals.", default="0.9")


def _probability(text: str) -> float:
    try:
        return check_level(parse_quantity(text, name="--level"))
    except UsageError as error:
        raise UsageError(f"--level={text!r} is not a probability.", hint=error.hint) from error


def seed() -> click.Option:
    """The seed of everything random."""
    return count("--seed", "Seed of the resamples.", zero=True, default="0")


def where() -> click.Option:
    """A condition on rows."""
    return click.Option(
        ["--where"], metavar="EXPR", help="Keep the rows for which this holds: 'params < 1B'."
    )


def mapping() -> click.Option:
    """Canonical names for foreign columns."""
    return click.Option(
        ["--map", "mapping"],
        multiple=True,
        metavar="NAME=COLUMN,...",
        callback=lambda ctx, param, value: _mapping(value),
        help="Say which column is which: params=N,tokens=D.",
    )


def fixed() -> click.Option:
    """Constants that a fit holds at a value."""
    return click.Option(
        ["--fix", "fixed"],
        multiple=True,
        metavar="NAME=VALUE",
        callback=lambda ctx, param, value: {
            name: _value_or_set(text, f"--fix {name}")
            for name, text in pairs("--fix", value, "E=1.69")
        },
        help="Hold a constant at a value, E=1.69, or at that of a published set, "
        "alpha=besiroglu2024. May be repeated.",
    )


def policy() -> click.Option:
    """Which checkpoints enter, by the name of an estimation policy."""
    return click.Option(
        ["--policy"], type=click.Choice(("default", "finals", "choshen2024")),
        help="Which checkpoints count, and how much: default drops the first tenth of each run "
        "and gives every run the same weight, choshen2024 is the policy of that paper. Finished "
        "models, unless given; auto takes curves where those cannot tell tokens.",
    )  # fmt: skip


def priors() -> click.Option:
    """What is believed of constants before a fit."""
    return click.Option(
        ["--prior", "priors"],
        multiple=True,
        metavar="NAME=MEAN:SD",
        callback=lambda ctx, param, value: {
            name: _prior(name, text) for name, text in pairs("--prior", value, "E=1.7:0.1")
        },
        help="A constant is near a value, with this standard deviation: E=1.7:0.1. May be "
        "repeated.",
    )


def bounds() -> click.Option:
    """Bounds of constants."""
    return click.Option(
        ["--bound", "bounds"],
        multiple=True,
        metavar="NAME=LOW:HIGH",
        callback=lambda ctx, param, value: {
            name: _ends(name, text) for name, text in pairs("--bound", value, "alpha=0.1:1")
        },
        help="Search a constant between bounds: alpha=0.1:1. May be repeated.",
    )


def force() -> click.Option:
    """Whether to go on in spite of grave findings."""
    return click.Option(
        ["--force"], is_flag=True, help="Go on although the health checks find errors."
    )


def listed(flag: str, read: Read, help: str, **extra: Any) -> click.Option:  # noqa: A002
    """Values that ``read`` takes out of one word."""
    return _option(flag, read, help, **extra)


def names(flag: str, help: str, **extra: Any) -> click.Option:  # noqa: A002
    """Several names, separated by commas."""

    def read(text: str) -> tuple[str, ...]:
        found = tuple(word.strip() for word in text.split(",") if word.strip())
        if not found:
            raise UsageError(f"{flag} names nothing.", hint="Separate names by commas: a,b.")
        return found

    return _option(flag, read, help, **{"metavar": "NAME,...", **extra})


def _mapping(values: Iterable[str]) -> dict[str, str] | None:
    parts = [part for value in values for part in value.split(",")]
    return dict(pairs("--map", parts, "params=N,tokens=D")) or None


def pairs(flag: str, values: Iterable[str], example: str) -> list[tuple[str, str]]:
    """Values of the form NAME=VALUE, taken apart; each name once."""
    found: dict[str, str] = {}
    for value in values:
        name, sign, text = (part.strip() for part in value.partition("="))
        if not (name and sign and text):
            raise UsageError(
                f"{flag} was given {value!r}, which is not NAME=VALUE.",
                hint=f"Write {flag} {example}.",
            )
        if name in found:
            raise UsageError(f"{flag} names {name!r} twice.", hint="Give each name once.")
        found[name] = text
    return list(found.items())


def _ends(name: str, text: str) -> tuple[float, float]:
    low, sign, high = text.partition(":")
    if not sign:
        raise UsageError(
            f"--bound {name}={text} has no two ends.", hint="Write --bound alpha=0.1:1."
        )
    return _signed(low, f"lower bound of {name}"), _signed(high, f"upper bound of {name}")


def _prior(name: str, text: str) -> Prior:
    from scalewise.fit.priors import Prior

    mean, sign, sd = text.partition(":")
    if not sign:
        raise UsageError(
            f"--prior {name}={text} has no standard deviation.", hint="Write --prior E=1.7:0.1."
        )
    return Prior(_signed(mean, f"--prior {name}"), _signed(sd, f"--prior {name}"), "--prior")


def _value_or_set(text: str, name: str) -> float | str:
    from scalewise.laws.catalogue import PUBLISHED

    if text in PUBLISHED:
        return text
    try:
        return _signed(text, name)
    except UsageError as error:
        raise UsageError(
            f"{name}={text!r} is neither a number nor the name of a published set.",
            hint="Write a number, or a name that scalewise laws lists, such as besiroglu2024.",
        ) from error


def _signed(text: str, name: str) -> float:
    return parse_quantity(text, name=name, allow_zero=True, allow_negative=True)
