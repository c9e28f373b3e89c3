"""Decisions: compute-optimal allocation, and what each choice costs in loss."""
