"""RunSpec -> small language model -> runs: the only room that imports torch."""
