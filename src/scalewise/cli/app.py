"""The program: knows its verbs by name, loads the one that is asked for, and reports failures."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from scalewise.cli.failure import report_failure, usage_error
from scalewise.cli.output import flush
from scalewise.core.errors import UsageError

VERBS: Mapping[str, str] = {
    "demo": "The whole walk on real small runs: check, backtest, fit, forecast, allocate.",
    "runs": "Read logs and run tables, say what was understood, check their health.",
    "laws": "The catalogue of laws and published constants.",
    "fit": "Fit a law, or the best combination of laws, to runs.",
    "predict": "Loss at unseen scale, with an interval.",
    "trajectory": "The whole loss curve of a run before it starts, and whether one is on track.",
    "steps": "Steps, tokens and time to a loss, the critical batch, and what a batch costs.",
    "allocate": "Split a compute budget between model size and tokens.",
    "overfit": "Distinct tokens a model needs, and what fewer cost it.",
    "diagnose": "What the answer rests on: noise, profiles, influence, sensitivity.",
    "approaches": "How the best size grows with compute, by three approaches and by count.",
    "backtest": "Hold out the largest runs and score every law on them.",
    "train": "Train planned pilot runs; interrupted ones resume.",
    "report": "Write one self-contained HTML page.",
    "serve": "The local dashboard: upload, fit, ask what if.",
    "data": "Public run tables by name, with licence, citation and checksum.",
}

_EPILOG = """\
\b
Files may be - for standard input or output. Numbers are written 7B, 2T, 100k or 1e24.
Results go to standard output, everything else to standard error.
\b
Exit codes: 0 ok, 1 a bug, 2 usage, 3 input unreadable or empty, 4 data not fit for the
question, 5 a stated gate failed, 130 interrupted.
\b
Completion: eval "$(_SCALEWISE_COMPLETE=bash_source scalewise)"; also zsh_source, fish_source.
"""


class Verbs(click.Group):
    """The verbs, each imported when it is used, and every failure turned into an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the verbs, in the order of a first visit."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name, imported now."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"scalewise.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb named first among ``args``, or an error that names the nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from scalewise.runs.columns import nearest

            raise UsageError(
                f"There is no verb {args[0]!r}.",
                hint=f"{nearest(args[0], list(VERBS))}Verbs: {', '.join(VERBS)}.",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run and exit; arguments as for ``click.Command.main``."""
        first = args[0] if args else extra.get("args")
        given: Sequence[str] = list(sys.argv[1:] if first is None else first)
        verb = next((word for word in given if word in VERBS), "scalewise")
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra) or 0
            flush()
        except (Exception, KeyboardInterrupt) as error:
            code = report_failure(_as_ours(error), verb, given)
        raise SystemExit(code)


def _as_ours(error: BaseException) -> BaseException:
    """The parser's errors in the words of this package; others as they are."""
    if isinstance(error, click.ClickException):
        return usage_error(error)
    if isinstance(error, click.Abort):
        # click calls an unexpected end of a file an interruption too; that would be a bug.
        return error.__cause__ if isinstance(error.__cause__, EOFError) else KeyboardInterrupt()
    return error


def degrade_gracefully() -> None:
    """Show what a narrow terminal encoding lacks as escapes, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from scalewise.cli.output import version

        click.echo(f"scalewise {version()}")
        ctx.exit()


app = Verbs(
    name="scalewise",
    help="Small training runs in, decisions about large language-model runs out.",
    epilog=_EPILOG,
    no_args_is_help=False,
    invoke_without_command=True,
    callback=lambda: _help_if_alone(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version and exit.",
        )
    ],
)


def _help_if_alone() -> None:
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
