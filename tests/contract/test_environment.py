"""Variables that begin with OTCACHE_ and that nobody knows: ignored, warned of, or refused where they protect."""

from __future__ import annotations

import re
import warnings

import pytest

from otcache.config.sources import read_environment
from otcache.exceptions import ConfigurationError
from tests.rows import every


@every(
    "name",
    [
        "OTCACHE_PORT",
        "OTCACHE_PORT_6379_TCP",
        "OTCACHE_PORT_6379_TCP_PROTO",
        "OTCACHE_PORT_6379_TCP_PORT",
        "OTCACHE_PORT_6379_TCP_ADDR",
        "OTCACHE_SERVICE_HOST",
        "OTCACHE_SERVICE_PORT",
        "OTCACHE_SERVICE_PORT_REDIS",
        "OTCACHE_HOST",
        "OTCACHE_REDIS_SERVICE_HOST",
        "OTCACHE_REDIS_SERVICE_PORT_HTTP_METRICS",
        "OTCACHE_REDIS_PORT",
        "OTCACHE_REDIS_PORT_26379_UDP_ADDR",
        "OTCACHE_PRIMARY_HOST",
    ],
)
def test_what_kubernetes_gives_for_a_service_is_ignored(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert read_environment({name: "tcp://10.0.0.1:6379"}) == {}


@every(
    ("name", "nearest"),
    [
        ("OTCACHE_DEFAULT_TLL", "OTCACHE_DEFAULT_TTL"),
        ("OTCACHE_TIMEOUTS", "OTCACHE_TIMEOUT"),
        ("OTCACHE_NAME_SPACE", "OTCACHE_NAMESPACE"),
        ("OTCACHE_AI__TEXT_HASH_TRESHOLD", "OTCACHE_AI__TEXT_HASH_THRESHOLD"),
        ("OTCACHE_MEMORY_SIZE", "OTCACHE_MEMORY_CACHE_SIZE"),
    ],
)
def test_a_slip_is_a_warning_that_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.warns(RuntimeWarning, match=f"{name}; did you mean '{nearest}'") as told:
        assert read_environment({name: "5"}) == {}

    assert len(told) == 1


def test_what_is_like_nothing_is_named_alone() -> None:
    with pytest.warns(RuntimeWarning, match=re.escape("OTCACHE_XYZZY: it is ignored")) as told:
        assert read_environment({"OTCACHE_XYZZY": "5", "OTCACHE_DEFAULT_TTL": "7"}) == {"default_ttl": 7}

    assert len(told) == 1


@every(
    "name",
    [
        "OTCACHE_SIGNING_SECERT",
        "OTCACHE_SIGNING_KEY",
        "OTCACHE_SECRET",
        "OTCACHE_ENCRYPTION_KEY",
        "OTCACHE_TLS",
        "OTCACHE_USE_SSL",
        "OTCACHE_TLS_CERT",
        "OTCACHE_TLS_VERIFIY",
        "OTCACHE_REDIS_PASSWROD",
        "OTCACHE_PASSWORD",
        "OTCACHE_REDIS_USER",
        "OTCACHE_REDIS_USERNAM",
        "OTCACHE_KEYSALT",
    ],
)
def test_a_slip_that_would_leave_a_cache_unprotected_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as raised:
        read_environment({name: "hidden"})

    assert "hidden" not in str(raised.value)
