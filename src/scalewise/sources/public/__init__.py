"""Public run tables by name: one small module per source, fetched on request only."""
