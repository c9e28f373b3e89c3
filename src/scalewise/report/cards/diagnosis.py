"""A diagnosis told in four cards: noise, profiles, influence, sensitivity."""

from __future__ import annotations

from scalewise.plan.diagnosis import Diagnosis
from scalewise.report.card import Card
from scalewise.report.cards.influence import influence_card
from scalewise.report.cards.noise import noise_card
from scalewise.report.cards.profiles import profiles_card
from scalewise.report.cards.sensitivity import sensitivity_card


def diagnosis_cards(found: Diagnosis) -> tuple[Card, ...]:
    """The cards of a diagnosis, from what scatters to what decides."""
    profiles = (profiles_card(found.profiles, skipped=found.skipped),) if found.profiles else ()
    return (
        noise_card(found.noise),
        *profiles,
        influence_card(found.influence),
        sensitivity_card(found.sensitivity),
    )
