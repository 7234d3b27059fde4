"""From mappings, files and the environment to a `CacheConfig`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, replace
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from otcache.config._nearest import did_you_mean
from otcache.config.model import AICacheConfig, CacheConfig, environment_name, problems_of, read_ttl, type_name
from otcache.exceptions import ConfigurationError, ValidationError

ALIASES: Final = {"l1_cache_size": "memory_cache_size", "max_size": "memory_cache_size"}
"""Other names of an option, accepted at the edge."""
AI_TRIGGERS: Final = ("text_hash_threshold", "operation_ttls", "memory_cache_size")
"""Keys of a hand-written dictionary that select the AI cache (docs/api-reference.md)."""
OWN_VARIABLES: Final = (
    "OTCACHE_PRESET", "OTCACHE_TEST_REDIS_URL", "OTCACHE_PROMETHEUS_TOKEN", "OTCACHE_PROMETHEUS_PASSWORD",
)  # fmt: skip
"""Variables of ours that are no options."""

_OPTIONS: Final = {f.name: f for f in fields(CacheConfig)}
_AI_OPTIONS: Final = {f.name: f for f in fields(AICacheConfig)}


def require_valid(config: CacheConfig) -> CacheConfig:
    """`config`; `ValidationError`, whose `context` has `errors` and `warnings`, if it is not valid."""
    result = config.validate()
    if not result.is_valid:
        raise ValidationError("; ".join(result.errors), {"errors": result.errors, "warnings": result.warnings})
    return config


def from_options(options: Mapping[str, Any], base: CacheConfig | None = None) -> CacheConfig:
    """`base` with `options` over it, aliases understood; `ValidationError` for an unknown option or a bad value."""
    start = base or CacheConfig()
    # AI options are given as a whole here: those of `base` are not under them
    return require_valid(overlay(replace(start, ai_config=None) if "ai_config" in options else start, options))


def ai_from_options(options: Mapping[str, Any], base: AICacheConfig | None = None) -> AICacheConfig:
    """`base` with AI options over it; `ValidationError` if one is unknown."""
    _refuse_unknown(options, _AI_OPTIONS)
    return replace(base or AICacheConfig(), **options)


def from_mapping(mapping: Mapping[str, Any], base: CacheConfig | None = None) -> CacheConfig:
    """What a dictionary describes, written by hand or by `CacheConfig.to_dict`.

    If it has the key `ai_config`, that alone decides whether an AI cache is meant. If not, AI options
    in it, or `memory_cache_size`, mean one. A `ValidationError` says that `redis_url` is missing, or which key or value
    can't be used.
    """
    if not isinstance(mapping, Mapping):
        raise ValidationError(f"config is {type(mapping).__name__}, not a mapping")
    if "redis_url" not in mapping:
        raise ValidationError("redis_url is missing; give a URL, or None for a cache in memory")
    if "ai_config" in mapping:
        return from_options(mapping, base)
    _refuse_unknown(mapping, {**_OPTIONS, **_AI_OPTIONS, **ALIASES})
    flat = {name: value for name, value in mapping.items() if name not in _AI_OPTIONS}
    if any(name in mapping for name in AI_TRIGGERS) or len(flat) < len(mapping):
        flat["ai_config"] = ai_from_options({name: mapping[name] for name in mapping if name in _AI_OPTIONS})
    return from_options(flat, base)


def _without_aliases(options: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in options.items() if name not in ALIASES}
    for alias, name in ALIASES.items():
        if alias not in options:
            continue
        if name in found and found[name] != options[alias]:
            both = f"{alias}={options[alias]!r} and {name}={found[name]!r}"
            raise ValidationError(f"{both} are one option with two values")
        found[name] = options[alias]
    return found


def _refuse_unknown(options: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in options:
        if name not in known:
            raise ValidationError(f"unknown option {name!r}{did_you_mean(str(name), known)}", {"option": str(name)})


# --- files ----------------------------------------------------------------------------------------------


def read_file(path: str | Path) -> dict[str, Any]:
    """The options in a JSON file; `ConfigurationError` if it can't be read, or is not a JSON object."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be read: {exc.strerror}", {"path": str(path)}) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path} is not UTF-8 text", {"path": str(path)}) from exc
    except json.JSONDecodeError as exc:
        where = {"path": str(path), "line": exc.lineno, "column": exc.colno}
        # no `from`: the cause would carry the file's text, passwords included
        raise ConfigurationError(f"{path} is not JSON: line {exc.lineno}, column {exc.colno}", where) from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds {type(found).__name__}, not an object", {"path": str(path)})
    return found


# --- environment ----------------------------------------------------------------------------------------


def read_environment(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The environment's options, AI options in `ai_config`; `ConfigurationError`, without secrets, if one is bad."""
    environ = os.environ if environ is None else environ
    names = {environment_name(f): f for name, f in _OPTIONS.items() if name != "ai_config"}
    ai_names = {environment_name(f, "OTCACHE_AI__"): f for f in _AI_OPTIONS.values()}
    _refuse_unknown_variables(environ, {**names, **ai_names})
    hints, ai_hints = get_type_hints(CacheConfig), get_type_hints(AICacheConfig)
    found = {f.name: _parsed(name, f, hints[f.name], environ[name]) for name, f in names.items() if name in environ}
    ai = {f.name: _parsed(n, f, ai_hints[f.name], environ[n]) for n, f in ai_names.items() if n in environ}
    if "redis_url" not in found and environ.get("REDIS_URL"):
        found["redis_url"] = environ["REDIS_URL"]
    return found | ({"ai_config": ai} if ai else {})


def _refuse_unknown_variables(environ: Mapping[str, str], known: Mapping[str, Any]) -> None:
    for name in environ:
        if name.startswith("OTCACHE_") and name not in known and name not in OWN_VARIABLES:
            raise ConfigurationError(f"unknown variable {name}{did_you_mean(name, known)}", {"variable": name})


def _parsed(variable: str, option_field: Field[Any], kind: Any, text: str) -> Any:
    try:
        value = _parser(kind)(text)
        problem = next(problems_of(option_field, kind, value), None)
    except ValueError:
        problem = f"not {type_name(kind)}"
    if problem is None:
        return value
    # no cause: it would repeat the value, which may be secret
    where = {"variable": variable, "option": option_field.name}
    raise ConfigurationError(f"{variable} can't be used: {problem}", where) from None


def _parser(kind: Any) -> Callable[[str], Any]:
    if timedelta in get_args(kind):
        return _ttl
    if get_origin(kind) in (Union, UnionType):
        inner = next(part for part in get_args(kind) if part is not type(None))
        return lambda text: _parser(inner)(text) if text else None
    if get_origin(kind) in (dict, Mapping):
        return _mapping
    parsers: dict[Any, Callable[[str], Any]] = {bool: _boolean, int: int, float: float}
    return parsers.get(kind, str)


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _ttl(text: str) -> Any:
    """Seconds or `forever`; an empty text is none, where that is allowed."""
    if not text:
        return None
    found = read_ttl(text)
    if found is not text:
        return found
    return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)


def _mapping(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(text)
    return {**read_ttl(found)}


def overlay(base: CacheConfig, options: Mapping[str, Any]) -> CacheConfig:
    """`base` with `options` over it, AI options one by one, not validated; `ValidationError` if one is unknown."""
    known = _without_aliases(options)
    _refuse_unknown(known, _OPTIONS)
    if isinstance(known.get("ai_config"), Mapping):
        known["ai_config"] = ai_from_options(known["ai_config"], base.ai_config)
    return replace(base, **known)
