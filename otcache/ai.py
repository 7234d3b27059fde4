"""Responses of AI models, kept by text, operation, options and model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from otcache._serialization.keys import HASH_ALGORITHMS, MAX_KEY_BYTES, check_hash_algorithm, check_key
from otcache._serialization.patterns import escape_glob, glob_matcher
from otcache._serialization.serializer import Facts
from otcache._serialization.tagged_json import canonical
from otcache._serialization.types import REGISTRY
from otcache.cache import Cache
from otcache.config import AICacheConfig
from otcache.exceptions import ValidationError
from otcache.memory import InMemoryCache
from otcache.redis import GenericRedisCache
from otcache.telemetry._instrumentation.ai_savings import ESTIMATED, MODEL, USAGE
from otcache.telemetry.catalog.kinds import OTHER
from otcache.telemetry.catalog.values import Operation
from otcache.telemetry.record import AIFacts
from otcache.ttl import TTL

KEY_TEMPLATE: Final = "ai_cache:op:{operation}|txt:{text}|opts:{options}|model:{model}"
"""What `otcache.key.template` says of every AI operation."""
CHARACTERS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English text; what rests on it is marked as estimated."""
_DIGEST: Final = re.compile("[0-9a-f]+")
_DIGEST_SIZES: Final = frozenset(2 * hashlib.new(name).digest_size for name in HASH_ALGORITHMS)
_OPTIONS_DIGITS: Final = 32  # 128 bits
_MARKS: Final = ("|opts:", "|model:")
"""What may follow the text."""
_LONGEST_NAME: Final = 256
"""Characters of an operation or a model that stand in a key as they are."""
_LONGEST_SHOWN: Final = 64
"""Characters of an operation that telemetry carries."""
_TIERS: Final = ("small", "medium", "large")
_LONGEST_GENERATION: Final = 4200
"""Seconds; the envelope keeps microseconds in 32 bits."""


class AIMethods(Cache):
    """What an AI cache adds to a cache: keys from texts, times to live from operations.

    A response belongs to its text, operation, options and model. An operation is any text but an empty one. A model is
    part of the key if it is given, when storing and when reading: without one, only what was stored without one is
    found.
    """

    @property
    def ai_config(self) -> AICacheConfig:
        """The AI options; the defaults if the configuration has none."""
        return self.config.ai_config or _DEFAULTS

    def build_key(
        self, text: str, operation: str, options: Mapping[str, Any] | None = None, *, model: str | None = None
    ) -> str:
        """The key of a response: `ai_cache:op:{operation}|txt:{text or hash}|opts:{digest}|model:{model}`.

        Raises:
            ValidationError: An argument is of another type, the operation is empty, or the options can't be told apart.
        """
        threshold, algorithm = self.ai_config.text_hash_threshold, self.ai_config.hash_algorithm
        return ai_key(text, operation, options, model, threshold=threshold, algorithm=algorithm)

    async def cache_response(
        self,
        text: str,
        operation: str,
        options: Mapping[str, Any] | None,
        response: Any,
        *,
        ttl: TTL | None = None,
        usage: Mapping[str, int] | None = None,
        generation_seconds: float | None = None,
        model: str | None = None,
    ) -> None:
        """Keep `response`.

        Args:
            text: What the model was given; above `max_text_length` characters nothing is kept.
            operation: What it was asked to do.
            options: What else shaped the response.
            response: The response.
            ttl: As for `set`; `None` takes the operation's, else the cache's default.
            usage: Tokens that the response cost, by type: `{"input": 812, "output": 96}`. `None` estimates them from
                the lengths of text and response, and the savings metrics say so.
            generation_seconds: How long it took to make.
            model: Who made it: part of the key, and whose prices hold (`AICacheConfig.token_prices`).

        Raises:
            ValidationError: An argument can't be accepted; nothing was stored.
        """
        facts = self._facts(text, operation, model)
        _check_usage(usage, generation_seconds)
        micros = None if generation_seconds is None else round(generation_seconds * 1_000_000)
        kept = Facts(loader_us=micros, notes=_notes(text, response, usage, model))
        if len(text) > self.ai_config.max_text_length:
            self._bypass("set", facts, kept)
            return
        key = self.build_key(text, operation, options, model=model)
        seconds = self.ai_config.operation_ttls.get(operation) if ttl is None else ttl
        await self._store(key, response, seconds, None, ai=facts, facts=kept)

    async def get_cached_response(
        self,
        text: str,
        operation: str,
        options: Mapping[str, Any] | None = None,
        default: Any = None,
        *,
        model: str | None = None,
    ) -> Any:
        """The response kept for `text`, `operation`, `options` and `model`, or `default`."""
        facts = self._facts(text, operation, model)
        if len(text) > self.ai_config.max_text_length:
            self._bypass("get", facts, None)
            return default
        key = self.build_key(text, operation, options, model=model)
        promote = not self.ai_config.enable_smart_promotion or facts.text_tier in ("small", "medium")
        return await self._fetch(key, default, None, self._clock(), ai=facts, promote=promote)

    async def invalidate_by_operation(self, operation: str) -> int:
        """Remove every response of exactly this operation; how many. In batches, never by `KEYS`."""
        name = _name(_check_operation(operation), self.ai_config.hash_algorithm)
        return await self.invalidate_pattern(f"ai_cache:op:{escape_glob(name)}|*")

    async def invalidate_pattern(self, pattern: str) -> int:
        """Remove every key of this cache that matches a Redis glob; how many were removed.

        The count is L2's if L2 answers, else L1's.
        """
        if not isinstance(pattern, str) or not pattern:
            raise ValidationError(f"pattern is {type(pattern).__name__}, not a non-empty string")
        with self._probe.operation("invalidate", self._clock()) as outcome:
            removed = await self._tiers.sweep(outcome, pattern, glob_matcher(pattern))
            outcome.batch_size = removed
        return removed

    def _facts(self, text: str, operation: str, model: str | None = None) -> AIFacts:
        _check_text(text)
        _check_model(model)
        shown = _shown(_check_operation(operation))
        tiers = self.ai_config.text_size_tiers
        tier = next((name for name in _TIERS if len(text) <= tiers.get(name, -1)), "xlarge")
        return AIFacts(shown, tier, len(text), KEY_TEMPLATE, self.ai_config.token_prices)

    def _bypass(self, operation: Operation, ai: AIFacts, facts: Facts | None) -> None:
        with self._probe.operation(operation, self._clock(), ai=ai) as outcome:
            outcome.result, outcome.facts = "bypass", facts


class AIResponseCache(AIMethods, GenericRedisCache):
    """The AI cache in two tiers: L1 in memory, L2 in Redis. Arguments as `GenericRedisCache`."""


class AIMemoryCache(AIMethods, InMemoryCache):
    """The AI cache in memory: embedded, or the fallback while Redis is away. Arguments as `InMemoryCache`."""


_DEFAULTS: Final = AICacheConfig()


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise ValidationError(f"text is {type(text).__name__}, not a string")


def _check_operation(operation: str) -> str:
    if not isinstance(operation, str) or not operation:
        shown = "empty" if operation == "" else type(operation).__name__
        raise ValidationError(f"operation is {shown}, not a non-empty string")
    return operation


def _check_model(model: str | None) -> None:
    if model is not None and not isinstance(model, str):
        raise ValidationError(f"model is {type(model).__name__}, not a name or None")


def _shown(operation: str) -> str:
    """An operation as telemetry carries it: a long text, or one that no line can show, is any other operation."""
    return operation if len(operation) <= _LONGEST_SHOWN and operation.isprintable() else OTHER


def _check_usage(usage: Mapping[str, int] | None, seconds: float | None) -> None:
    for kind, count in (usage or {}).items():
        if not isinstance(kind, str) or isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValidationError("usage is not a mapping of token types to counts of 0 or more")
    if seconds is not None and not 0 <= seconds <= _LONGEST_GENERATION:
        raise ValidationError(f"generation_seconds={seconds} is outside 0..{_LONGEST_GENERATION} s")


def _notes(text: str, response: Any, usage: Mapping[str, int] | None, model: str | None) -> dict[str, Any]:
    """What the entry keeps of the price of its response."""
    named = {MODEL: model} if model is not None and _fits(model) else {}
    if usage:
        return {**named, USAGE: dict(usage)}
    characters = {"input": len(text), "output": _characters(response)}
    guessed = {kind: ceil(count / CHARACTERS_PER_TOKEN) for kind, count in characters.items()}
    return {**named, USAGE: guessed, ESTIMATED: True}


def _characters(response: Any) -> int:
    """The length of all texts in a response."""
    if isinstance(response, str):
        return len(response)
    if isinstance(response, Mapping):
        return sum(map(_characters, response.values()))
    return sum(map(_characters, response)) if isinstance(response, list | tuple) else 0


def ai_key(
    text: str,
    operation: str,
    options: Mapping[str, Any] | None,
    model: str | None = None,
    *,
    threshold: int,
    algorithm: str,
) -> str:
    """The key of an AI response: `ai_cache:op:{operation}|txt:{text or hash}|opts:{digest}|model:{model}`.

    No two different calls share a key: a text that could be read as a hash, or as a text with options or a model, is
    hashed too; so are an operation and a model with a `|`, and those that could be read as hashes.

    Args:
        text: What the model was given; hashed above `threshold` characters, or where the key would be too long.
        operation: What it was asked to do.
        options: What else shaped the response; the order of keys does not matter, types do. Left out if empty.
        model: Who makes it. Left out if it is not given.
        threshold: Characters.
        algorithm: One of `HASH_ALGORITHMS`.

    Raises:
        ValidationError: An argument is of another type, the operation is empty, an option is of a type that can't be
            told apart, or there is no such algorithm.
    """
    check_hash_algorithm(algorithm)
    _check_text(text)
    _check_model(model)
    head = f"ai_cache:op:{_name(_check_operation(operation), algorithm)}|txt:"
    tail = _options_part(options, algorithm) + ("" if model is None else f"|model:{_name(model, algorithm)}")
    if len(text) <= threshold and _is_unmistakable(text):
        key = f"{head}{text}{tail}"
        if len(key) <= MAX_KEY_BYTES and _fits(key):
            return key
    return check_key(f"{head}{_hash(text, algorithm)}{tail}")


def _name(name: str, algorithm: str) -> str:
    """An operation or a model as part of a key: as it is, or hashed where it is long or could be mistaken."""
    is_plain = "|" not in name and name[:1] != "#" and len(name) <= _LONGEST_NAME and _fits(name)
    return name if is_plain else f"#{_hash(name, algorithm)}"


def _hash(text: str, algorithm: str) -> str:
    return hashlib.new(algorithm, text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_unmistakable(text: str) -> bool:
    looks_hashed = len(text) in _DIGEST_SIZES and _DIGEST.fullmatch(text)
    return not looks_hashed and not any(mark in text for mark in _MARKS)


def _fits(key: str) -> bool:
    try:
        return len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _options_part(options: Mapping[str, Any] | None, algorithm: str) -> str:
    if options is None:
        return ""
    if not isinstance(options, Mapping):
        raise ValidationError(f"options is {type(options).__name__}, not a mapping")
    if not options:
        return ""
    body = canonical(dict(options), REGISTRY.scope())
    return f"|opts:{hashlib.new(algorithm, body).hexdigest()[:_OPTIONS_DIGITS]}"
