"""Every option, declared once: type, unit, default, range, meaning and environment name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from otcache._serialization.encryption import key_problem
from otcache._serialization.keys import HASH_ALGORITHMS
from otcache._serialization.seals import MOST_SECRETS, many_problem, secret_problem
from otcache.config.url import mask_url, scheme_of, scheme_problem, tls_of, with_tls
from otcache.exceptions import ValidationError
from otcache.ttl import FOREVER, LONGEST_TTL, TTL, ttl_seconds

ENVIRONMENTS: Final = ("development", "testing", "production")
_NAME: Final = r"[a-z0-9_.-]{1,64}"
_HASHES: Final = tuple(sorted(HASH_ALGORITHMS))


@dataclass
class ValidationResult:
    """What validation found.

    Attributes:
        is_valid: Whether there is no error.
        errors: What can't work, each with the option's name.
        warnings: What works and is probably not meant.
    """

    is_valid: bool
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add_error(self, message: str) -> None:
        """Add an error; the result is not valid any more."""
        self.errors.append(message)
        self.is_valid = False

    def add_warning(self, message: str) -> None:
        """Add a warning."""
        self.warnings.append(message)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an option besides its type and default.

    Attributes:
        meaning: What it does, one sentence.
        unit: Its unit, where it has one.
        low: Smallest value.
        high: Largest value.
        choices: The only values.
        pattern: What a text must match as a whole.
        problem: Says what is wrong with a text.
        secret: Whether it must not be shown.
        is_ttl: Whether it is a time to live.
    """

    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    problem: Callable[[str], str | None] | None = None
    secret: bool = False
    is_ttl: bool = False

    @property
    def range(self) -> str:
        """The allowed values, for people."""
        if self.is_ttl:
            return f"0..{LONGEST_TTL} s or `forever`"
        if self.choices:
            return ", ".join(self.choices)
        if self.low is not None:
            return f"{self.low:g}..{self.high:.10g}"
        return self.pattern


def option(default: Any, meaning: str, **facts: Any) -> Any:
    """A dataclass field that knows its `Facts`; of a dictionary each object gets its own."""
    metadata = {"facts": Facts(meaning, **facts)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def ttl_option(default: Any, meaning: str) -> Any:
    """An option that is a time to live."""
    return option(default, meaning, is_ttl=True)


def read_ttl(value: Any) -> Any:
    """A time to live as files, variables and programs write it, or a mapping with some, in seconds.

    What is none stays as it is, for `validate` to refuse.
    """
    if isinstance(value, Mapping):
        return {key: read_ttl(item) for key, item in value.items()}
    if isinstance(value, timedelta):
        return value.total_seconds()
    return FOREVER if isinstance(value, str) and value.strip().lower() == "forever" else value


def _read_ttls(config: Any) -> None:
    """Let the times to live of a configuration be numbers, however they were written."""
    for name in [f.name for f in fields(config) if facts_of(f).is_ttl]:
        object.__setattr__(config, name, read_ttl(getattr(config, name)))  # frozen, but not finished


def written(value: Any) -> Any:
    """The value of an option as JSON can hold it; what is in it can be changed without changing the option."""
    if isinstance(value, Mapping):
        return {key: written(item) for key, item in value.items()}
    return "forever" if isinstance(value, float) and value == FOREVER else value


def facts_of(option_field: Field[Any]) -> Facts:
    """The facts of an option."""
    found: Facts = option_field.metadata["facts"]
    return found


_ZERO: Final = "{name}=0 now means not kept; otcache.FOREVER, in files and variables `forever`, keeps for ever"
_TIERS: Final = {"small": 1000, "medium": 10000, "large": 100000}
_TTLS: Final = {"summarize": 7200, "sentiment": 3600, "key_points": 5400, "questions": 4800, "qa": 3600}


@dataclass(frozen=True)
class AICacheConfig:
    """The options of an AI cache. Values are checked by `validate`, not by the constructor."""

    text_hash_threshold: int = option(
        1000, "Texts longer than this stand hashed in their key.", unit="characters", low=0, high=10_000_000
    )
    hash_algorithm: str = option("sha256", "The hash of texts and options, from hashlib.", choices=_HASHES)
    text_size_tiers: dict[str, int] = option(
        _TIERS, "Longest text of each size class; what is longer is xlarge.", unit="characters", low=1, high=10**10
    )
    operation_ttls: Mapping[str, TTL] = ttl_option(
        _TTLS, "Time to live by operation, 0 keeps nothing; others take `default_ttl`."
    )
    enable_smart_promotion: bool = option(True, "Copy responses to L1 only up to the medium size class.")
    max_text_length: int = option(
        100000, "Responses to longer texts are not cached.", unit="characters", low=1, high=10_000_000_000
    )
    token_prices: dict[str, float] = option(
        {},
        "Prices for the savings metrics, by `model:token type`, or by token type for any model.",
        unit="USD per million tokens",
        low=0,
        high=1_000_000,
    )

    def __post_init__(self) -> None:
        _read_ttls(self)

    def validate(self) -> ValidationResult:
        """Every error and warning."""
        result = ValidationResult(True)
        _check_fields(self, result)
        _check_tiers(self.text_size_tiers, result)
        for operation, ttl in self.operation_ttls.items() if isinstance(self.operation_ttls, Mapping) else ():
            if isinstance(ttl, int | float) and 604_800 < ttl <= LONGEST_TTL:
                result.add_warning(f"operation_ttls[{operation!r}]={ttl} is more than a week")
        for message in self.warns_of_zero():
            result.add_warning(message)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Every option; what is in it can be changed without changing this object."""
        return {f.name: written(getattr(self, f.name)) for f in fields(self)}

    def warns_of_zero(self) -> list[str]:
        """What to say of operations whose responses are not kept, because 0 meant for ever once."""
        ttls = self.operation_ttls.items() if isinstance(self.operation_ttls, Mapping) else ()
        return [_ZERO.format(name=f"operation_ttls[{operation!r}]") for operation, ttl in ttls if ttl == 0]


@dataclass(frozen=True, repr=False)
class CacheConfig:
    """The options of a cache. Values are checked by `validate`, not by the constructor."""

    redis_url: str | None = option(None, "Where Redis is; none keeps everything in memory.")
    redis_password: str | None = option(None, "Password; wins over the URL's.", secret=True)
    use_tls: bool = option(False, "TLS, whatever the URL's scheme says.")
    tls_cert_path: str | None = option(None, "The client's certificate (PEM); implies TLS.")
    tls_key_path: str | None = option(None, "Its private key (PEM).")
    default_ttl: TTL = ttl_option(3600, "Time to live of an entry that names none; 0 keeps nothing.")
    memory_cache_size: int = option(100, "Most entries in L1; 0 for none.", unit="entries", low=0, high=10_000_000)
    compression_threshold: int = option(1000, "Larger payloads are compressed.", unit="bytes", low=0, high=2**30)
    compression_level: int = option(6, "Effort of the compressor.", low=1, high=9)
    environment: str = option("development", "What the configuration is for.", choices=ENVIRONMENTS)
    ai_config: AICacheConfig | None = option(None, "The options of an AI cache; none for an ordinary one.")
    name: str = option("default", "The cache's name in telemetry and in its keys.", pattern=_NAME)
    key_prefix: str = option("otcache:", "What its keys in Redis start with.", pattern=r"[^\s\ud800-\udfff]{1,256}")
    namespace: str | None = option(
        None,
        "Whose entries they are; none takes the service's name (docs/coherence.md), an empty one is none.",
        pattern=r"[^\x00-\x1f\x7f\ud800-\udfff]{0,128}",
    )
    enable_l1_cache: bool = option(True, "Keep entries in this process, in front of Redis.")
    fail_on_connection_error: bool = option(False, "Raise if Redis can't be reached when the cache is built.")
    redis_username: str | None = option(None, "User; wins over the URL's.")
    tls_ca_path: str | None = option(None, "Certificate authorities to trust (PEM file or directory).")
    tls_verify: bool = option(True, "Whether the server's certificate must be right.")
    timeout: float = option(
        0.25, "Most that one call may wait for Redis, connecting included.", unit="s", low=0.001, high=60
    )
    max_connections: int = option(50, "Connections to Redis, and calls under way on them.", low=1, high=10_000)
    breaker_failures: int = option(5, "Failures in a row that open the circuit breaker.", low=1, high=1000)
    breaker_probe_seconds: float = option(
        0.5, "Time between probes while the circuit breaker is open.", unit="s", low=0.05, high=60
    )
    journal_size: int = option(10_000, "Failed writes that the repair journal holds.", unit="keys", low=1, high=10**6)
    compression: Literal["zlib", "zstd"] = option("zlib", "The compressor.", choices=("zlib", "zstd"))
    l1_isolation: Literal["shared", "copy"] = option(
        "shared", "Whether L1 shares its objects with callers or gives each a copy.", choices=("shared", "copy")
    )
    l1_change_detection: Literal["always", "sampled", "off"] | None = option(
        None,
        "Which mutable objects that L1 shares are compared at a hit with what was stored: all, one in a hundred, none. "
        "None: all in development and testing where that environment is named, else one in a hundred.",
        choices=("always", "sampled", "off"),
    )
    backend_name: str = option("redis", "L2's name in telemetry.", pattern=_NAME)
    spans: Literal["all", "io", "off"] = option(
        "all", "Which operations are spans: all, those that leave the process, or none.", choices=("all", "io", "off")
    )
    telemetry_keys: Literal["hash", "template", "raw", "off"] = option(
        "hash", "How keys appear in spans.", choices=("hash", "template", "raw", "off")
    )
    key_salt: str | None = option(None, "Salt of the keys' hashes; none takes one per process.", secret=True)
    writer_links: bool = option(
        False, "Whether the span of a hit links to the span that stored the value; 33 bytes per entry."
    )
    callback_spans: bool = option(False, "Whether asynchronous callbacks get spans, linked to the operation's.")
    coherence: bool = option(True, "Publish a message with every write, and apply those of other processes.")
    max_staleness: float = option(
        2.0, "Longest that L1 may serve what another process has overwritten.", unit="s", low=0.2, high=3600
    )
    stale_ttl: TTL = ttl_option(0, "How long past its time to live a loaded value may be served stale.")
    loader_soft_timeout: float = option(
        0.0, "How long a caller with a stale value waits for the new one.", unit="s", low=0, high=3600
    )
    loader_timeout: float = option(30.0, "Time limit of a load.", unit="s", low=0.001, high=86_400)
    early_refresh: float = option(
        1.0, "How eagerly a hot value is refreshed before it expires (beta of XFetch); 0 never.", low=0, high=100
    )
    ttl_jitter: float = option(
        0.0, "Share by which the time to live of a loaded value is shortened at random.", low=0, high=0.5
    )
    http_details: bool = option(
        True, "Say in response headers more than hit or miss: strangers see by it when others have asked."
    )
    negative_ttl: TTL | None = ttl_option(
        None, "Time to live of a loaded `None`, 0 keeps none; without it the ordinary one."
    )
    single_flight: Literal["process", "distributed"] = option(
        "distributed",
        "Where a key has one load at a time: in the process, or among all.",
        choices=("process", "distributed"),
    )
    lock_seconds: float = option(
        5.0, "Time to live of a loading key's lock; its holder renews it.", unit="s", low=0.1, high=3600
    )
    stale_retry_seconds: float = option(
        1.0, "Time between two loads of a key that is served stale because they fail.", unit="s", low=0, high=3600
    )
    stamp_limit: int = option(
        10_000,
        "Tags and prefixes whose invalidation is remembered; older ones count for every entry.",
        low=100,
        high=1_000_000,
    )
    signing_secret: str | tuple[str, ...] | None = option(
        None,
        "Signs every entry, and allows pickle for other types: 16 bytes or more, or several; the first signs.",
        secret=True,
        problem=secret_problem,
    )
    encryption_keys: str | tuple[str, ...] | None = option(
        None,
        "Encrypts every entry: an AES key in base64 or hexadecimal, or several; the first encrypts.",
        secret=True,
        problem=key_problem,
    )

    def __post_init__(self) -> None:
        for name in ("signing_secret", "encryption_keys"):  # nobody holds a list of ours and changes it
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        _read_ttls(self)

    def validate(self) -> ValidationResult:
        """Every error and warning."""
        result = ValidationResult(True)
        _check_fields(self, result)
        if self.default_ttl == 0:
            result.add_warning(_ZERO.format(name="default_ttl"))
        if self.redis_url is not None and isinstance(self.redis_url, str):
            _check_url(self, result)
        _check_tls(self, result)
        if isinstance(self.ai_config, AICacheConfig):
            nested = self.ai_config.validate()
            for message in nested.errors:
                result.add_error(f"ai_config.{message}")
            for message in nested.warnings:
                result.add_warning(f"ai_config.{message}")
        return result

    def to_dict(self) -> dict[str, Any]:
        """Every option, secrets included; `ai_config` is always there."""
        found = {f.name: written(getattr(self, f.name)) for f in fields(self)}
        found["ai_config"] = self.ai_config.to_dict() if self.ai_config is not None else None
        return found

    def warns_of_zero(self) -> list[str]:
        """What to say of times to live that keep nothing, because 0 meant for ever once."""
        own = [_ZERO.format(name="default_ttl")] if self.default_ttl == 0 else []
        return own + (self.ai_config.warns_of_zero() if self.ai_config is not None else [])

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is by TLS: asked for, in the URL, or implied by a TLS file."""
        wanted = self.use_tls or self.tls_cert_path is not None or self.tls_ca_path is not None
        return wanted or bool(tls_of(self.redis_url or ""))

    @property
    def detects_changes(self) -> Literal["always", "sampled", "off"]:
        """Of which objects in L1 a change is noticed; copies are nobody else's."""
        if self.l1_isolation == "copy":
            return "off"
        return self.l1_change_detection or ("always" if self.environment == "testing" else "sampled")

    @property
    def shown_url(self) -> str | None:
        """Where Redis is, with its passwords masked, as `rediss` where TLS is used."""
        if self.redis_url is None:
            return None
        return mask_url(with_tls(self.redis_url) if self.uses_tls else self.redis_url)

    def __repr__(self) -> str:
        shown = ((f.name, _shown(self, f)) for f in fields(self) if getattr(self, f.name) != default_of(f))
        return f"CacheConfig({', '.join(f'{name}={value}' for name, value in shown)})"


def default_of(option_field: Field[Any]) -> Any:
    """The default of an option."""
    made = option_field.default_factory
    return made() if made is not MISSING else option_field.default


def _shown(config: CacheConfig, option_field: Field[Any]) -> str:
    value = getattr(config, option_field.name)
    if option_field.name == "redis_url":
        return repr(config.shown_url)
    return "'***'" if facts_of(option_field).secret and value is not None else repr(value)


# --- checks ---------------------------------------------------------------------------------------------


def _check_fields(config: CacheConfig | AICacheConfig, result: ValidationResult) -> None:
    hints = get_type_hints(type(config))
    for f in fields(config):
        for message in problems_of(f, hints[f.name], getattr(config, f.name)):
            result.add_error(message)


def problems_of(option_field: Field[Any], kind: Any, value: Any) -> Iterator[str]:
    """What is wrong with the value of one option."""
    name, facts = option_field.name, facts_of(option_field)
    if not _fits(kind, value):
        yield f"{name} is {type(value).__name__}, not {type_name(kind)}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _range_problems(f"{name}[{key!r}]", facts, item)
    elif isinstance(value, tuple):
        if not 0 < len(value) <= MOST_SECRETS:
            yield f"{name} {many_problem(value)}"
        for number, item in enumerate(value):
            yield from _range_problems(f"{name}[{number}]", facts, item)
    elif value is not None:
        yield from _range_problems(name, facts, value)


def _range_problems(name: str, facts: Facts, value: Any) -> Iterator[str]:
    if facts.is_ttl:
        yield from _ttl_problems(name, value)
    if not (facts.choices or facts.low is not None or facts.pattern or facts.problem):
        return
    shown = "" if facts.secret else f"={value!r}"
    unit = f" {facts.unit}" if facts.unit else ""
    if facts.choices and value not in facts.choices:
        yield f"{name}{shown} is not one of {facts.range}"
    elif facts.low is not None and not facts.low <= value <= (facts.high or 0):
        yield f"{name}{shown} is outside {facts.range}{unit}"
    elif facts.pattern and not re.fullmatch(facts.pattern, value):
        yield f"{name}{shown} does not match {facts.pattern}"
    elif facts.problem and (problem := facts.problem(value)):
        yield f"{name} {problem}"


def _ttl_problems(name: str, value: Any) -> Iterator[str]:
    try:
        ttl_seconds(value, name)
    except ValidationError as exc:
        yield exc.message


def _is_ttl(kind: Any) -> bool:
    return timedelta in get_args(kind)


def _fits(kind: Any, value: Any) -> bool:
    """Whether `value` is of the declared type; `bool` is no number, an integer is a float."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return any(_fits(part, value) for part in get_args(kind))
    if origin in (dict, Mapping):
        _, item = get_args(kind)
        return isinstance(value, Mapping) and all(isinstance(k, str) and _fits(item, v) for k, v in value.items())
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if origin is Literal:
        return isinstance(value, str)  # which of them is a matter of range
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


_TTL_TYPE: Final = "seconds, timedelta or `forever`"
_TYPE_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    AICacheConfig: "AI options",
    type(None): "none",
}


def type_name(kind: Any) -> str:
    """The declared type, for people."""
    if _is_ttl(kind):
        return _TTL_TYPE + (" or none" if type(None) in get_args(kind) else "")
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(type_name(part) for part in get_args(kind))
    if get_origin(kind) in (dict, Mapping):
        items = {int: "integers", float: "numbers"}
        return f"mapping of names to {items.get(get_args(kind)[1], _TTL_TYPE)}"
    if get_origin(kind) is tuple:
        return "JSON list of texts"
    return "text" if get_origin(kind) is Literal else _TYPE_NAMES[kind]


def _check_url(config: CacheConfig, result: ValidationResult) -> None:
    url = config.redis_url or ""
    if (problem := scheme_problem(url)) is not None:
        result.add_error(problem)
    elif tls_of(url) is None and config.uses_tls:
        result.add_error(f"use_tls does not go with {scheme_of(url)}://, which stays on this host: leave it out")
    elif config.environment == "production" and tls_of(url) is False and not config.uses_tls:
        result.add_warning("redis_url has no TLS in production: what is cached can be read on the way")


def _check_tls(config: CacheConfig, result: ValidationResult) -> None:
    if config.tls_key_path and not config.tls_cert_path:
        result.add_error("tls_key_path needs tls_cert_path")
    add: Callable[[str], None] = result.add_error if config.environment == "production" else result.add_warning
    for name in ("tls_cert_path", "tls_key_path", "tls_ca_path"):
        path = getattr(config, name)
        if isinstance(path, str) and not Path(path).exists():
            add(f"{name}={path!r} does not exist")
    if not config.tls_verify and config.environment == "production":
        result.add_warning("tls_verify is off in production: anybody on the way can be the server")


def _check_tiers(tiers: Any, result: ValidationResult) -> None:
    if not isinstance(tiers, Mapping):
        return
    unknown = sorted(set(tiers) - {"small", "medium", "large"})
    if unknown:
        result.add_error(f"text_size_tiers has {', '.join(unknown)}; its names are small, medium, large")
    sizes = [tiers[name] for name in ("small", "medium", "large") if isinstance(tiers.get(name), int)]
    if sizes != sorted(sizes):
        result.add_error("text_size_tiers is not ascending from small to large")


# --- for documentation ----------------------------------------------------------------------------------


def environment_name(option_field: Field[Any], prefix: str = "OTCACHE_") -> str:
    """The environment variable of an option."""
    return prefix + option_field.name.upper()


def options_table() -> str:
    """Every option as a Markdown table, for docs/configuration.md."""
    head = ["| option | type | default | range | environment | meaning |", "|---|---|---|---|---|---|"]
    plain = (f for f in fields(CacheConfig) if f.name != "ai_config")
    return "\n".join(
        [*head, *_rows(CacheConfig, plain, ""), *_rows(AICacheConfig, fields(AICacheConfig), "ai_config.")]
    )


def _rows(kind: type, options: Iterable[Field[Any]], prefix: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    environment = "OTCACHE_AI__" if prefix else "OTCACHE_"
    for f in options:
        facts = facts_of(f)
        allowed = facts.range + (f" {facts.unit}" if facts.unit and facts.range else "")
        cells = (f"`{prefix}{f.name}`", type_name(hints[f.name]), f"`{default_of(f)}`", allowed,
                 f"`{environment_name(f, environment)}`", facts.meaning)  # fmt: skip
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
