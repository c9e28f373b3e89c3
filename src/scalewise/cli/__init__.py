"""The command line: one file per verb, each the twin of a Python function; no arithmetic."""


def main() -> None:
    """Run ``scalewise`` and leave with its exit code."""
    try:
        from scalewise.cli.app import app, degrade_gracefully

        degrade_gracefully()
        app.main(prog_name="scalewise")
    except KeyboardInterrupt:
        # An interrupt while modules are still loading, before the program can say so itself.
        raise SystemExit(130) from None
