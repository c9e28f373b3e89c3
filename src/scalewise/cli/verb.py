"""A verb: a function that returns an Answer, with its options and those that all verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import cleandoc
from typing import Any

import click

from scalewise.cli.app import VERBS
from scalewise.cli.output import Answer, publish


def verb(
    name: str,
    function: Callable[..., Answer],
    params: Sequence[click.Parameter],
    *,
    examples: Sequence[str],
) -> click.Command:
    """The command of that name; its help is the function's docstring, then examples."""

    def run(*, as_json: bool, debug: bool, **given: Any) -> int:
        del debug  # read where failures are reported
        return publish(name, function(**given), as_json=as_json)

    shared = (
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of a failure."),
    )
    return click.Command(
        name,
        callback=run,
        params=[*params, *shared],
        help=cleandoc(function.__doc__ or ""),
        short_help=VERBS[name],
        epilog="\n".join(["\b", "Examples:", *(f"  scalewise {line}" for line in examples)]),
    )
