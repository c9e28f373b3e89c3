"""From results to cards, one file per subject."""
