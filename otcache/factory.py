"""Explicit construction: documented signatures in, a connected cache out; in memory until Redis answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from otcache.ai import AIMemoryCache, AIResponseCache
from otcache.base import CacheInterface
from otcache.cache import Cache
from otcache.config import AICacheConfig, CacheConfig
from otcache.config._nearest import did_you_mean
from otcache.config.sources import ALIASES, from_mapping, overlay
from otcache.config.url import DEFAULT_URL, tls_of
from otcache.exceptions import ConfigurationError, InfrastructureError, ValidationError
from otcache.memory import InMemoryCache
from otcache.redis import GenericRedisCache
from otcache.stores.registry import check_url
from otcache.telemetry.providers import Providers
from otcache.ttl import TTL

TEST_URL: Final = f"{DEFAULT_URL}/15"

WEB: Final = CacheConfig(
    name="web", redis_url=DEFAULT_URL, default_ttl=1800, memory_cache_size=200, compression_threshold=2000
)
"""Web applications: many small answers, half an hour old at most."""
AI_OPTIONS: Final = AICacheConfig(text_hash_threshold=500)
AI: Final = CacheConfig(name="ai", redis_url=DEFAULT_URL, ai_config=AI_OPTIONS)
"""AI applications: responses that were expensive to make."""
TESTING: Final = CacheConfig(
    name="testing",
    redis_url=TEST_URL,
    default_ttl=60,
    memory_cache_size=50,
    compression_level=1,
    enable_l1_cache=False,
    environment="testing",
)
"""Tests: a database of its own, every read a round trip."""


async def open_cache(config: CacheConfig, *, providers: Providers | None = None) -> Cache:
    """The cache that `config` describes, connected.

    Without a `redis_url` it is in memory. With one, Redis is asked once; if it does not answer in time
    the cache is in memory until it does, and then uses Redis as L2.

    Args:
        config: `ai_config` decides whether it has the AI methods.
        providers: Where it reports; the global OpenTelemetry providers by default.

    Raises:
        ValidationError: An option is outside its range.
        ConfigurationError: Options contradict each other, or a TLS file can't be used.
        InfrastructureError: Redis can't be reached, and `fail_on_connection_error` is on.
    """
    _check(config)
    return await _open(config, providers)


async def _open(config: CacheConfig, providers: Providers | None) -> Cache:
    in_memory: type[InMemoryCache] = AIMemoryCache if config.ai_config is not None else InMemoryCache
    tiered: type[GenericRedisCache] = AIResponseCache if config.ai_config is not None else GenericRedisCache
    wanted: type[InMemoryCache | GenericRedisCache] = in_memory if config.redis_url is None else tiered
    cache = wanted(config, providers=providers)
    if await _connected(cache):
        return cache
    if not config.fail_on_connection_error:
        return in_memory.taking_over(cache)
    await cache.close()
    raise _unreachable(cache)


async def _connected(cache: Cache) -> bool:
    try:
        return await cache.connect()
    except BaseException:  # cancelled, or refused: the caller has no cache to close, so close what is half open here
        await cache.close()
        raise


def _unreachable(cache: Cache) -> InfrastructureError:
    where, why = cache.config.shown_url, cache.far_error
    context = {"cache": cache.name, "redis_url": where, "error": why, "timeout": cache.config.timeout}
    return InfrastructureError(
        f"cache {cache.name}: Redis at {where} does not answer within {cache.config.timeout} s ({why})", context
    )


# --- checks ---------------------------------------------------------------------------------------------


def _check(config: CacheConfig, found: Sequence[str] = ()) -> None:
    """Refuse `config` with every problem at once, after those that were `found` before.

    Raises:
        ValidationError: A value can't be used.
        ConfigurationError: The values can't be used together.
    """
    conflicts = _conflicts(config)
    values = (replace(config, **_NO_TLS) if conflicts else config).validate().errors
    errors = [*found, *(values or _url_errors(config))]
    if errors:
        raise ValidationError("; ".join([*errors, *conflicts]), {"errors": [*errors, *conflicts]})
    if conflicts:
        raise ConfigurationError("; ".join(conflicts), {"errors": conflicts})


_NO_TLS: Final[dict[str, Any]] = {"use_tls": False, "tls_cert_path": None, "tls_key_path": None, "tls_ca_path": None}


def _conflicts(config: CacheConfig) -> list[str]:
    on_host = isinstance(config.redis_url, str) and tls_of(config.redis_url) is None
    found = {
        "fail_on_connection_error needs a redis_url: in memory there is nothing to connect to": (
            config.fail_on_connection_error is True and config.redis_url is None
        ),
        "use_tls and TLS files do not go with a redis_url that stays on this host": on_host and config.uses_tls,
        "tls_key_path needs tls_cert_path": bool(config.tls_key_path) and not config.tls_cert_path,
    }
    return [message for message, is_so in found.items() if is_so]


def _url_errors(config: CacheConfig) -> list[str]:
    """What is wrong behind the scheme of the URL; never repeats it."""
    try:
        if config.redis_url is not None:
            check_url(config.redis_url)
    except ConfigurationError as exc:
        return [exc.message]
    return []


# --- the documented factory -----------------------------------------------------------------------------


class CacheFactory:
    """Builds caches for a purpose; every method connects, and falls back to memory unless told to fail."""

    def __init__(self) -> None:
        """Needs nothing: a factory holds no state."""

    async def for_web_app(
        self,
        redis_url: str = DEFAULT_URL,
        default_ttl: TTL = WEB.default_ttl,
        enable_l1_cache: bool = WEB.enable_l1_cache,
        l1_cache_size: int = WEB.memory_cache_size,
        compression_threshold: int = WEB.compression_threshold,
        compression_level: int = WEB.compression_level,
        fail_on_connection_error: bool = WEB.fail_on_connection_error,
        **kwargs: Any,
    ) -> CacheInterface:
        """A cache for a web application: a `GenericRedisCache`, or an `InMemoryCache` until Redis answers.

        Args:
            redis_url: redis, rediss, unix, redis+sentinel or redis+cluster.
            default_ttl: Seconds, 0 to 31 536 000 (0 keeps nothing), a `timedelta`, or `FOREVER`.
            enable_l1_cache: Whether memory answers before Redis is asked.
            l1_cache_size: Most entries in memory.
            compression_threshold: Bytes above which a value is compressed.
            compression_level: 1 to 9.
            fail_on_connection_error: Raise if Redis does not answer now; later outages never raise.
            kwargs: Any other option of `CacheConfig` (`name`, `key_prefix`, ...), or `providers`.

        Raises:
            ValidationError: An option is unknown or outside its range.
            ConfigurationError: Options contradict each other.
            InfrastructureError: Redis does not answer, and `fail_on_connection_error` is on.
        """
        given = _given(locals())
        if ai := sorted(name for name, value in kwargs.items() if name in _AI_ONLY and value is not None):
            raise ConfigurationError(f"for_web_app builds no AI cache: use for_ai_app, or leave out {', '.join(ai)}")
        return await self._build(WEB, given, **kwargs)

    async def for_ai_app(
        self,
        redis_url: str = DEFAULT_URL,
        default_ttl: TTL = AI.default_ttl,
        enable_l1_cache: bool = AI.enable_l1_cache,
        l1_cache_size: int = AI.memory_cache_size,
        compression_threshold: int = AI.compression_threshold,
        compression_level: int = AI.compression_level,
        text_hash_threshold: int = AI_OPTIONS.text_hash_threshold,
        memory_cache_size: int | None = None,
        operation_ttls: Mapping[str, TTL] | None = None,
        fail_on_connection_error: bool = AI.fail_on_connection_error,
        **kwargs: Any,
    ) -> CacheInterface:
        """A cache for AI responses: an `AIResponseCache`, or an `AIMemoryCache` until Redis answers.

        Arguments and errors as `for_web_app`, and:

        Args:
            default_ttl: For operations that have none of their own.
            text_hash_threshold: Characters above which a text is hashed in its key.
            memory_cache_size: Stands above `l1_cache_size` if given.
            operation_ttls: As `default_ttl`, by operation; instead of the default ones.
            kwargs: Any other option of `CacheConfig` or `AICacheConfig`, or `providers`.
        """
        given = _given(locals(), "text_hash_threshold", "memory_cache_size", "operation_ttls")
        if memory_cache_size is not None:
            given["l1_cache_size"] = memory_cache_size
        ttls = {} if operation_ttls is None else {"operation_ttls": operation_ttls}
        return await self._build(AI, given, **_with_ai(kwargs, text_hash_threshold=text_hash_threshold, **ttls))

    async def for_testing(
        self,
        redis_url: str = TEST_URL,
        default_ttl: TTL = TESTING.default_ttl,
        enable_l1_cache: bool = TESTING.enable_l1_cache,
        l1_cache_size: int = TESTING.memory_cache_size,
        compression_threshold: int = TESTING.compression_threshold,
        compression_level: int = TESTING.compression_level,
        fail_on_connection_error: bool = TESTING.fail_on_connection_error,
        use_memory_cache: bool = False,
        **kwargs: Any,
    ) -> CacheInterface:
        """A cache for tests: short times to live, the last database, every read a round trip.

        Arguments and errors as `for_web_app`, and:

        Args:
            use_memory_cache: An `InMemoryCache`, whatever `redis_url` says.
            kwargs: Any other option of `CacheConfig`, or `providers`; with `ai_config` an AI cache.
        """
        given = _given(locals(), "use_memory_cache")
        if not isinstance(use_memory_cache, bool):
            raise ValidationError(f"use_memory_cache is {type(use_memory_cache).__name__}, not a bool")
        if use_memory_cache:
            given |= {"redis_url": None, "fail_on_connection_error": False}
        return await self._build(TESTING, given, **_with_ai(kwargs))

    async def create_cache_from_config(
        self, config: dict[str, Any], fail_on_connection_error: bool = False
    ) -> CacheInterface:
        """The cache that a dictionary describes: hand-written, from a file, or a configuration's `to_dict()`.

        A key `ai_config` decides whether it is an AI cache. Without that key, `text_hash_threshold`,
        `operation_ttls` or `memory_cache_size` make it one.

        Args:
            config: Options of `CacheConfig` by name. `redis_url` must be there; `None` means in memory.
            fail_on_connection_error: Raise if Redis does not answer now, whatever the dictionary says.

        Raises:
            ValidationError: `redis_url` is missing, or an option is unknown or outside its range.
            ConfigurationError: Options contradict each other.
            InfrastructureError: Redis does not answer, and failing is on.
        """
        if not isinstance(config, Mapping):
            raise ValidationError(f"config is {type(config).__name__}, not a dictionary of options")
        # False is what the signature says when nothing is said: then the dictionary decides
        failing = {} if fail_on_connection_error is False else {"fail_on_connection_error": fail_on_connection_error}
        return await open_cache(from_mapping({**_one_size(config), **failing}))

    async def _build(self, profile: CacheConfig, given: dict[str, Any], **options: Any) -> CacheInterface:
        providers = options.pop("providers", None)
        options |= given
        if providers is not None and not isinstance(providers, Providers):
            raise ValidationError(f"providers is {type(providers).__name__}, not Providers")
        self._validate_factory_inputs(**options)
        return await _open(overlay(profile, _one_size(options)), providers)

    def _validate_factory_inputs(
        self,
        redis_url: str | None = None,
        default_ttl: TTL | None = None,
        fail_on_connection_error: bool = False,
        **kwargs: Any,
    ) -> None:
        """Check options without building anything.

        Args:
            redis_url: `None` is not checked.
            default_ttl: `None` is not checked.
            fail_on_connection_error: Needs a `redis_url`.
            kwargs: Any other option of `CacheConfig` or `AICacheConfig`.

        Raises:
            ValidationError: Values that can't be used, all of them in one message.
            ConfigurationError: Every value is sound, but they can't be used together.
        """
        options = {**kwargs, "redis_url": redis_url, "fail_on_connection_error": fail_on_connection_error}
        if default_ttl is not None:
            options["default_ttl"] = default_ttl
        unknown = [f"unknown option {name!r}{did_you_mean(name, _NAMES)}" for name in options if name not in _NAMES]
        known = {name: value for name, value in options.items() if name in _NAMES}
        _check(overlay(CacheConfig(), _one_size(_with_ai(known))), unknown)


def _given(parameters: Mapping[str, Any], *apart: str) -> dict[str, Any]:
    """Return the options among the `locals()` that a method begins with: its parameters, but for those `apart`."""
    return {name: value for name, value in parameters.items() if name not in ("self", "kwargs", *apart)}


_AI_NAMES: Final = frozenset(option.name for option in fields(AICacheConfig))
_AI_ONLY: Final = _AI_NAMES | {"ai_config"}
_NAMES: Final = frozenset(option.name for option in fields(CacheConfig)) | _AI_NAMES | frozenset(ALIASES)


def _one_size(options: Mapping[str, Any]) -> dict[str, Any]:
    """`memory_cache_size` stands above `l1_cache_size` where both are given."""
    above = "memory_cache_size" in options or "max_size" in options
    return {name: value for name, value in options.items() if not (above and name == "l1_cache_size")}


def _with_ai(options: Mapping[str, Any], **arguments: Any) -> dict[str, Any]:
    """Move the options of `AICacheConfig` into `ai_config`, over one that is there.

    Args:
        options: Options by name.
        arguments: AI options of a signature: what is left at its default does not stand above `ai_config`.
    """
    said = {name: value for name, value in arguments.items() if value != getattr(AI_OPTIONS, name)}
    said |= {name: value for name, value in options.items() if name in _AI_NAMES}
    rest = {name: value for name, value in options.items() if name not in _AI_NAMES}
    given = rest.get("ai_config")
    if isinstance(given, AICacheConfig):
        rest["ai_config"] = {**given.to_dict(), **said}
    elif isinstance(given, Mapping):
        rest["ai_config"] = {**given, **said}
    elif given is None:
        rest.pop("ai_config", None)
        rest.update({"ai_config": said} if said else {})
    return rest
