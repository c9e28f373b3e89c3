"""Where laws meet runs: objective, starts, solver, uncertainty, diagnostics, the fitted result."""
