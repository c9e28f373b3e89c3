"""Every law by its key and every published set of constants by its own.

Membership is enough: a law listed here is held to the whole contract of the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType

from scalewise.core.errors import LawError
from scalewise.laws.broken import BROKEN_COMPUTE
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.laws.choices import CHOICE_LAWS
from scalewise.laws.coupled import COUPLED
from scalewise.laws.downstream import ERROR_LAWS
from scalewise.laws.farseer import FARSEER
from scalewise.laws.formula import law_from_formula
from scalewise.laws.gadre import GADRE_LAWS
from scalewise.laws.kaplan import KAPLAN_LAWS
from scalewise.laws.law import Law, Published
from scalewise.laws.muennighoff import DATA_CONSTRAINED
from scalewise.laws.power import POWER_LAWS
from scalewise.laws.saturating import SATURATING_LAWS
from scalewise.laws.trajectory import TRAJECTORY_LAWS

# A bare word, perhaps with hyphens: 'kaplan-params' is a key, not a difference of two constants.
PARAM_COUNTS = ("params", "params_nonembed")
_KEY = re.compile(r"[A-Za-z][\w-]*")


def catalogue(*laws: Law) -> Mapping[str, Law]:
    """Laws by key, frozen.

    Raises LawError if two laws or published sets share a name: on the command line one word
    stands for either.
    """
    owners: dict[str, str] = {}
    for law in laws:
        for key, what in ((law.key, "a law"), *((p.key, law.key) for p in law.published)):
            if key in owners:
                raise LawError(
                    f"The name {key!r} is taken twice, by {owners[key]} and by {what}.",
                    hint="Give one of them another name.",
                )
            owners[key] = what
    return MappingProxyType({law.key: law for law in laws})


LAWS: Mapping[str, Law] = catalogue(
    *POWER_LAWS,
    BROKEN_COMPUTE,
    *SATURATING_LAWS,
    *KAPLAN_LAWS,
    *TRAJECTORY_LAWS,
    CHINCHILLA,
    COUPLED,
    FARSEER,
    DATA_CONSTRAINED,
    *GADRE_LAWS,
    *ERROR_LAWS,
    *CHOICE_LAWS,
)

PUBLISHED: Mapping[str, tuple[Law, Published]] = MappingProxyType(
    {published.key: (law, published) for law in LAWS.values() for published in law.published}
)


def law_named(key: str) -> Law:
    """The law of the catalogue with this key.

    Raises LawError, naming the nearest key, if there is none.

    >>> law_named("chinchilla").formula
    'E + A / N**alpha + B / D**beta'
    """
    if key in LAWS:
        return LAWS[key]
    if key in PUBLISHED:
        law, _ = PUBLISHED[key]
        raise LawError(
            f"{key!r} is a set of constants, not a law.",
            hint=f"Its law is {law.key!r}; to predict with it no fit is needed.",
        )
    raise LawError(f"No law is named {key!r}.", hint=_nearest(key, LAWS, "laws"))


def published_named(key: str) -> tuple[Law, Published]:
    """The published constants with this key, and the law they belong to.

    >>> law, published = published_named("besiroglu2024")
    >>> law.key, published.theta["alpha"]
    ('chinchilla', 0.3478)
    """
    if key in PUBLISHED:
        return PUBLISHED[key]
    if key in LAWS:
        own = ", ".join(published.key for published in LAWS[key].published)
        raise LawError(
            f"{key!r} is a law, not a set of constants.",
            hint=f"Published for it: {own}." if own else "None is published for it: fit it.",
        )
    raise LawError(
        f"No published constants are named {key!r}.",
        hint=_nearest(key, PUBLISHED, "published constants"),
    )


def law_from(text_or_key: str) -> Law:
    """A law by its key, a key on another parameter count, or a formula written as text.

    >>> law_from("power").key, law_from("E + A / D**alpha").columns
    ('power', ('tokens',))
    >>> law_from("chinchilla@params_nonembed").columns
    ('params_nonembed', 'tokens')
    """
    text = text_or_key.strip()
    key, at, column = text.partition("@")
    if at and _KEY.fullmatch(key):
        return on_count(law_named(key), column)
    return law_named(text) if _KEY.fullmatch(text) else law_from_formula(text)


def on_count(law: Law, column: str) -> Law:
    """The same formula on another parameter count, under a key that says so.

    Raises LawError if there is no such count, or the law uses none.
    """
    if column not in PARAM_COUNTS or not set(law.columns) & set(PARAM_COUNTS):
        raise LawError(
            f"Law {law.key!r} cannot be stated in {column!r}.",
            hint=f"Laws of size can be stated in {' or '.join(PARAM_COUNTS)}.",
        )
    variables = {s: column if c in PARAM_COUNTS else c for s, c in law.variables.items()}
    if variables == dict(law.variables):
        return law
    return replace(law, key=f"{law.key}@{column}", variables=variables, published=())


def _nearest(key: str, known: Mapping[str, object], what: str) -> str:
    close = get_close_matches(key, known, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Known {what}: {', '.join(known)}."
