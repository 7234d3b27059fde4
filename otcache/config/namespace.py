"""Whose entries they are: the namespace, and what the names of a cache's entries begin with (docs/coherence.md).

    {key_prefix}{namespace}/{name}:      {key_prefix}{name}: without a namespace

No two caches that differ in one of the three have a beginning in common, so neither reads, sweeps or hears what is the
other's. That holds because the key prefix gives exactly one colon, and only it and the end have one: what would say
anything else (a colon inside of it, `@`, with which the rows beside the entries begin, `%`) is percent-encoded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Final
from urllib.parse import quote, unquote

from otcache.config.model import CacheConfig, environment_name, problems_of
from otcache.exceptions import ConfigurationError

LONGEST: Final = 128
"""Characters of a namespace that stand in keys as they are; of a longer `service.name` there is a digest."""
_ESCAPED: Final = str.maketrans({"%": "%25", "@": "%40", ":": "%3A"})
_OPTION: Final = next(f for f in fields(CacheConfig) if f.name == "namespace")


def namespace_of(config: CacheConfig, environ: Mapping[str, str] | None = None) -> str:
    """The namespace of a cache; empty for none.

    It is the option, else `OTCACHE_NAMESPACE`, else `service.namespace`, else `service.name` of the variables
    `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`. Not what `telemetry.setup` is given: whether it is called
    before or after a cache is made must not decide who shares its entries.

    Raises:
        ConfigurationError: `OTCACHE_NAMESPACE` can't be used.
    """
    environ = os.environ if environ is None else environ
    if config.namespace is not None:
        return config.namespace
    variable = environment_name(_OPTION)
    if (own := environ.get(variable)) is not None:
        for problem in problems_of(_OPTION, str, own):
            raise ConfigurationError(f"{variable} can't be used: {problem}", {"variable": variable})
        return own
    attributes = dict(_resource(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    service = environ.get("OTEL_SERVICE_NAME") or attributes.get("service.name", "")
    return attributes.get("service.namespace") or service


def _resource(text: str) -> list[tuple[str, str]]:
    """The attributes as the OpenTelemetry SDK reads them: values percent-encoded, what is no pair is passed over."""
    pairs = (item.partition("=") for item in text.split(","))
    return [(name.strip(), unquote(value.strip())) for name, equals, value in pairs if equals]


def namespace_in_keys(namespace: str) -> str:
    """A namespace as it stands in keys: letters, digits and `_.-~`, the rest percent-encoded."""
    if len(namespace) <= LONGEST:
        return _quoted(namespace)
    digest = hashlib.sha256(namespace.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{_quoted(namespace[: LONGEST // 2])}%~{digest}"  # `%~`: no encoding makes it


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")  # undecodable bytes of a variable are surrogates


def key_space(config: CacheConfig) -> str:
    """What the names of a cache's entries begin with."""
    namespace = namespace_in_keys(namespace_of(config))
    scope = f"{namespace}/" if namespace else ""
    return f"{_with_one_colon(config.key_prefix)}{scope}{config.name}:"


def _with_one_colon(key_prefix: str) -> str:
    inner, end = (key_prefix[:-1], ":") if key_prefix.endswith(":") else (key_prefix, "%:")
    return inner.translate(_ESCAPED) + end
