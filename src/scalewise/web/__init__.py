"""The local dashboard: routes, pages, static files; every page has a JSON twin; no arithmetic.

The server reads and hands out files of one project folder (``project``). Whatever computes runs in
a process of its own (``worker``), so that it can be cancelled and the server stays small.
"""
