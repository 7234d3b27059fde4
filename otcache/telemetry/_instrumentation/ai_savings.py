"""What AI responses cost, and what keeping them saves: tokens, dollars, seconds; measured or estimated, never mixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.signals import Signals
from otcache.telemetry.record import AIFacts, Outcome

USAGE: Final = "usage"
ESTIMATED: Final = "estimated"
MODEL: Final = "model"
"""What the notes of an entry call the tokens by type, whether they are estimated, and the model."""

_NANO_PER_MILLION: Final = 1000
"""Nano-dollars per token, of one US dollar per million tokens."""


class Savings:
    """Counts what the AI operations of one cache used up and saved."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def count(self, ai: AIFacts, outcome: Outcome, duration: int) -> None:
        """Count one operation of `duration` ns: a store is what the model was paid for, a hit is what it was not."""
        if outcome.operation == "get":
            self._signals.observe(catalog.AI_TEXT_SIZE, ai.text_length, ai.operation)
        disposition = _disposition(outcome)
        if disposition is None or outcome.facts is None:
            return
        if outcome.facts.loader_us is not None:
            spent = outcome.facts.loader_us * 1000
            saved = max(spent - duration, 0)
            amount = spent if disposition == "spent" else saved
            self._add(catalog.AI_TIME, amount, ai, disposition, "measured")
        if outcome.facts.notes is not None:
            self._count_tokens(ai, disposition, outcome.facts.notes)

    def _count_tokens(self, ai: AIFacts, disposition: str, notes: Mapping[str, Any]) -> None:
        usage, estimate = _usage(notes), "estimated" if notes.get(ESTIMATED) else "measured"
        for kind, tokens in usage.items():
            self._add(catalog.AI_TOKENS, tokens, ai, disposition, estimate, kind)
        cost = sum(_costs(usage, notes.get(MODEL), ai.prices))
        if cost:
            self._add(catalog.AI_COST, cost, ai, disposition, estimate)

    def _add(self, row: catalog.Instrument, amount: int, ai: AIFacts, *rest: str) -> None:
        self._signals.count(row, ai.operation, ai.text_tier, *rest, n=amount)


def _disposition(outcome: Outcome) -> str | None:
    if outcome.operation == "set":
        return None if outcome.error is not None else "spent"
    return "saved" if outcome.result in ("hit", "stale") else None


def _usage(notes: Mapping[str, Any]) -> dict[str, int]:
    """The tokens by type; whatever another writer left under that name is not trusted to be numbers."""
    found = notes.get(USAGE)
    if not isinstance(found, Mapping):
        return {}
    return {str(kind): count for kind, count in found.items() if type(count) is int and count >= 0}


def _costs(usage: Mapping[str, int], model: object, prices: Mapping[str, float]) -> Iterator[int]:
    """Nano-dollars of each type of token that has a price."""
    for kind, tokens in usage.items():
        price = prices.get(f"{model}:{kind}", prices.get(kind))
        if price is not None:
            yield round(tokens * price * _NANO_PER_MILLION)
