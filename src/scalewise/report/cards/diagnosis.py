"""A diagnosis told in cards: what limits the answer, noise, profiles, influence, sensitivity."""

from __future__ import annotations

from scalewise.plan.advice import Advice
from scalewise.plan.diagnosis import Diagnosis
from scalewise.report.card import Card
from scalewise.report.cards.advice import advice_cards
from scalewise.report.cards.influence import influence_card
from scalewise.report.cards.noise import noise_card
from scalewise.report.cards.profiles import profiles_card
from scalewise.report.cards.sensitivity import sensitivity_card


def diagnosis_cards(found: Diagnosis, advice: Advice | None = None) -> tuple[Card, ...]:
    """The cards of a diagnosis, from what to do to what decides; ``advice`` opens it."""
    profiles = (profiles_card(found.profiles, skipped=found.skipped),) if found.profiles else ()
    return (
        *(() if advice is None else advice_cards(advice)),
        noise_card(found.noise),
        *profiles,
        influence_card(found.influence),
        sensitivity_card(found.sensitivity),
    )
