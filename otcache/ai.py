"""Responses of AI models, kept by text, operation and options."""

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
from otcache.telemetry.catalog.values import Operation
from otcache.telemetry.record import AIFacts

_OPERATION: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
KEY_TEMPLATE: Final = "ai_cache:op:{operation}|txt:{text}|opts:{options}"
"""What `otcache.key.template` says of every AI operation."""
CHARACTERS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English text; what rests on it is marked as estimated."""
_DIGEST: Final = re.compile("[0-9a-f]+")
_DIGEST_SIZES: Final = frozenset(2 * hashlib.new(name).digest_size for name in HASH_ALGORITHMS)
_OPTIONS_DIGITS: Final = 32  # 128 bits
_TIERS: Final = ("small", "medium", "large")
_LONGEST_GENERATION: Final = 4200
"""Seconds; the envelope keeps microseconds in 32 bits."""


class AIMethods(Cache):
    """What an AI cache adds to a cache. The text decides the key, the operation the time to live."""

    @property
    def ai_config(self) -> AICacheConfig:
        """The AI options; the defaults if the configuration has none."""
        return self.config.ai_config or _DEFAULTS

    def build_key(self, text: str, operation: str, options: Mapping[str, Any] | None = None) -> str:
        """The key of a response: `ai_cache:op:{operation}|txt:{text or hash}|opts:{digest}`.

        Raises:
            ValidationError: The operation is not 1 to 64 of `A-Za-z0-9_.-`, or the options can't be told apart.
        """
        _check(text, operation)
        ai = self.ai_config
        return ai_key(text, operation, options, threshold=ai.text_hash_threshold, algorithm=ai.hash_algorithm)

    async def cache_response(
        self,
        text: str,
        operation: str,
        options: Mapping[str, Any] | None,
        response: Any,
        *,
        ttl: int | None = None,
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
            ttl: Seconds; `None` takes the operation's, else the cache's default.
            usage: Tokens that the response cost, by type: `{"input": 812, "output": 96}`. `None` estimates them from
                the lengths of text and response, and the savings metrics say so.
            generation_seconds: How long it took to make.
            model: Whose prices hold (`AICacheConfig.token_prices`).

        Raises:
            ValidationError: An argument can't be accepted; nothing was stored.
        """
        facts = self._facts(text, operation)
        _check_usage(usage, generation_seconds, model)
        micros = None if generation_seconds is None else round(generation_seconds * 1_000_000)
        kept = Facts(loader_us=micros, notes=_notes(text, response, usage, model))
        if len(text) > self.ai_config.max_text_length:
            self._bypass("set", facts, kept)
            return
        key = self.build_key(text, operation, options)
        seconds = self.ai_config.operation_ttls.get(operation) if ttl is None else ttl
        await self._store(key, response, seconds, None, ai=facts, facts=kept)

    async def get_cached_response(
        self, text: str, operation: str, options: Mapping[str, Any] | None = None, default: Any = None
    ) -> Any:
        """The response kept for `text`, `operation` and `options`, or `default`."""
        facts = self._facts(text, operation)
        if len(text) > self.ai_config.max_text_length:
            self._bypass("get", facts, None)
            return default
        key = self.build_key(text, operation, options)
        promote = not self.ai_config.enable_smart_promotion or facts.text_tier in ("small", "medium")
        return await self._fetch(key, default, None, self._clock(), ai=facts, promote=promote)

    async def invalidate_by_operation(self, operation: str) -> int:
        """Remove every response of `operation`; how many. In batches, never by `KEYS`."""
        _check("", operation)
        return await self.invalidate_pattern(f"ai_cache:op:{escape_glob(operation)}|*")

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

    def _facts(self, text: str, operation: str) -> AIFacts:
        _check(text, operation)
        tiers = self.ai_config.text_size_tiers
        tier = next((name for name in _TIERS if len(text) <= tiers.get(name, -1)), "xlarge")
        return AIFacts(operation, tier, len(text), KEY_TEMPLATE, self.ai_config.token_prices)

    def _bypass(self, operation: Operation, ai: AIFacts, facts: Facts | None) -> None:
        with self._probe.operation(operation, self._clock(), ai=ai) as outcome:
            outcome.result, outcome.facts = "bypass", facts


class AIResponseCache(AIMethods, GenericRedisCache):
    """The AI cache in two tiers: L1 in memory, L2 in Redis. Arguments as `GenericRedisCache`."""


class AIMemoryCache(AIMethods, InMemoryCache):
    """The AI cache in memory: embedded, or the fallback while Redis is away. Arguments as `InMemoryCache`."""


_DEFAULTS: Final = AICacheConfig()


def _check(text: str, operation: str) -> None:
    if not isinstance(text, str):
        raise ValidationError(f"text is {type(text).__name__}, not a string")
    if not isinstance(operation, str) or not _OPERATION.fullmatch(operation):
        raise ValidationError("operation is not 1 to 64 characters of A-Za-z0-9_.-")


def _check_usage(usage: Mapping[str, int] | None, seconds: float | None, model: str | None) -> None:
    for kind, count in (usage or {}).items():
        if not isinstance(kind, str) or isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValidationError("usage is not a mapping of token types to counts of 0 or more")
    if seconds is not None and not 0 <= seconds <= _LONGEST_GENERATION:
        raise ValidationError(f"generation_seconds={seconds} is outside 0..{_LONGEST_GENERATION} s")
    if model is not None and not isinstance(model, str):
        raise ValidationError(f"model is {type(model).__name__}, not a name or None")


def _notes(text: str, response: Any, usage: Mapping[str, int] | None, model: str | None) -> dict[str, Any]:
    """What the entry keeps of the price of its response."""
    named = {} if model is None else {MODEL: model}
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


def ai_key(text: str, operation: str, options: Mapping[str, Any] | None, *, threshold: int, algorithm: str) -> str:
    """The key of an AI response: `ai_cache:op:{operation}|txt:{text or hash}|opts:{digest}`.

    No two different calls share a key: a text that could be read as a hash, or as a text with options, is hashed too.

    Args:
        text: What the model was given; hashed above `threshold` characters, or where the key would be too long.
        operation: What it was asked to do.
        options: What else shaped the response; the order of keys does not matter, types do. Left out if empty.
        threshold: Characters.
        algorithm: One of `HASH_ALGORITHMS`.

    Raises:
        ValidationError: The operation is empty, has a `|` or is too long, an option is of a type that can't be told
            apart, or there is no such algorithm.
    """
    check_hash_algorithm(algorithm)
    if not isinstance(text, str):
        raise ValidationError(f"text is {type(text).__name__}, not a string")
    if not isinstance(operation, str) or not operation or "|" in operation:
        raise ValidationError("operation is not a non-empty string without '|'")
    head = f"ai_cache:op:{operation}|txt:"
    tail = f"|opts:{_options_digest(options, algorithm)}" if options else ""
    if len(text) <= threshold and _is_unmistakable(text):
        key = f"{head}{text}{tail}"
        if len(key) <= MAX_KEY_BYTES and _fits(key):
            return key
    return check_key(f"{head}{hashlib.new(algorithm, text.encode('utf-8', 'surrogatepass')).hexdigest()}{tail}")


def _is_unmistakable(text: str) -> bool:
    looks_hashed = len(text) in _DIGEST_SIZES and _DIGEST.fullmatch(text)
    return not looks_hashed and "|opts:" not in text


def _fits(key: str) -> bool:
    try:
        return len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _options_digest(options: Mapping[str, Any], algorithm: str) -> str:
    if not isinstance(options, Mapping):
        raise ValidationError(f"options is {type(options).__name__}, not a mapping")
    body = canonical(dict(options), REGISTRY.scope())
    return hashlib.new(algorithm, body).hexdigest()[:_OPTIONS_DIGITS]
