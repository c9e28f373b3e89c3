"""What a law is, and the laws themselves: one small file per family of papers.

A law takes arrays, never a run table. ``law`` says what a law is, ``catalogue`` lists them all,
``formula`` reads a user's own. Which law to use when stands in each law's ``use_when``.
"""
