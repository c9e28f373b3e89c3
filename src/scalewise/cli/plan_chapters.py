"""The cards that `scalewise approaches` prints."""

from scalewise.report.chapters import approaches_chapter, conventions_or_why

__all__ = ["approaches_chapter", "conventions_or_why"]
