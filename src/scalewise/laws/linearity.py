"""In which of its constants a formula is linear, so that they can be solved for exactly."""

from __future__ import annotations

from scalewise.core.expression import Expression


def linear_names(node: Expression, candidates: frozenset[str]) -> frozenset[str]:
    """Those of ``candidates`` in which the formula is jointly linear.

    >>> from scalewise.core.expression import parse
    >>> sorted(linear_names(parse("E + A / N**alpha"), frozenset({"E", "A", "alpha"})))
    ['A', 'E']
    """
    kept: frozenset[str] = frozenset()
    for name in sorted(candidates):
        if _degree(node, kept | {name}) is not None:
            kept |= {name}
    return kept


def _degree(node: Expression, names: frozenset[str]) -> int | None:
    """0 or 1 if the node is a polynomial of that degree in ``names``, None if it is neither."""
    if not node.names & names:
        return 0
    degrees = [_degree(part, names) for part in node.parts]
    match node.kind:
        case "name":
            return 1
        case "+" | "-" | "neg" if None not in degrees:
            return 1
        case "*" if None not in degrees and degrees in ([0, 1], [1, 0]):
            return 1
        case "/" if degrees == [1, 0]:
            return 1
    return None
