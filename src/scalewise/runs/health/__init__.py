"""Health checks: what in a run table would make a fit wrong, and how to mend it."""

from scalewise.runs.health.check import CHECKS, check_health
from scalewise.runs.health.finding import Finding, Severity

__all__ = ["CHECKS", "Finding", "Severity", "check_health"]
