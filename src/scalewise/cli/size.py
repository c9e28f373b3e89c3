"""The size of a model as the laws of Kaplan and Su count it, from what a person knows of it."""

from __future__ import annotations

import click

from scalewise.cli import options
from scalewise.core.counting import nonembed_from_total
from scalewise.core.errors import UsageError

OPTIONS: tuple[click.Option, ...] = (
    options.quantity("--params-nonembed", "Parameters without embeddings."),
    options.quantity("--params", "Total parameters; needs --params-embed."),
    options.quantity("--params-embed", "Parameters of embeddings and untied head, of --params."),
)


def size_from(
    *, params_nonembed: float | None, params: float | None, params_embed: float | None
) -> float:
    """The parameters without embeddings. UsageError where they are not known for certain."""
    if (params_nonembed is None) == (params is None):
        raise UsageError(
            "The size is --params-nonembed, or --params with --params-embed; "
            f"{'neither was' if params is None else 'both were'} given.",
            hint="Write --params-nonembed 7B.",
        )
    if params_nonembed is not None:
        if params_embed is not None:
            raise UsageError(
                "--params-embed goes with --params, not with --params-nonembed.",
                hint="Leave --params-embed out.",
            )
        return params_nonembed
    if params is None or params_embed is None:
        raise UsageError(
            "--params counts embeddings, this law does not, and how many there are is not known.",
            hint="Write --params-nonembed, or add --params-embed: vocabulary times width, twice "
            "that with an untied head.",
        )
    return nonembed_from_total(params, params_embed)
