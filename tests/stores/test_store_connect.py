"""What a URL and the options over it mean, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otcache.config import CacheConfig
from otcache.exceptions import ConfigurationError
from otcache.stores.redis.store import open_redis
from otcache.stores.redis.target import RedisTarget, resolve_target
from tests.rows import every
from tests.servers import Certificates


@every(
    ("url", "expected"),
    [
        ("redis://", RedisTarget(kind="standalone", hosts=(("localhost", 6379),))),
        ("redis://cache", RedisTarget(kind="standalone", hosts=(("cache", 6379),))),
        ("redis://cache:7000/3", RedisTarget(kind="standalone", hosts=(("cache", 7000),), database=3)),
        ("redis://[::1]:7000", RedisTarget(kind="standalone", hosts=(("::1", 7000),))),
        ("redis://cache?db=4", RedisTarget(kind="standalone", hosts=(("cache", 6379),), database=4)),
        ("unix:///run/redis.sock?db=2", RedisTarget(kind="unix", path="/run/redis.sock", database=2)),
        (
            "redis+sentinel://a:1,b/service/2",
            RedisTarget(kind="sentinel", hosts=(("a", 1), ("b", 26379)), service="service", database=2),
        ),
        ("redis+cluster://a:1,b", RedisTarget(kind="cluster", hosts=(("a", 1), ("b", 6379)))),
    ],
)
def test_a_url_says_where(url: str, expected: RedisTarget) -> None:
    assert resolve_target(url) == expected


@every(
    ("url", "options", "credentials"),
    [
        ("redis://h", {}, (None, None)),
        ("redis://:p%40ss@h", {}, (None, "p@ss")),
        ("redis://us%3Aer:p:ss@h", {}, ("us:er", "p:ss")),
        ("redis://user:old@h", {"redis_password": "new"}, ("user", "new")),
        ("redis://user:old@h", {"redis_username": "other", "redis_password": "new"}, ("other", "new")),
        ("unix://user:word@/s", {}, ("user", "word")),
        ("unix:///s?password=word&username=user", {}, ("user", "word")),
        ("redis+sentinel://user:word@h/service", {}, ("user", "word")),
    ],
)
def test_an_option_wins_over_the_urls_part(url: str, options: Any, credentials: tuple[str | None, str | None]) -> None:
    target = resolve_target(url, CacheConfig(**options))

    assert (target.username, target.password) == credentials


def test_the_sentinels_have_credentials_of_their_own() -> None:
    target = resolve_target("redis+sentinel://u:p@h/service?sentinel_username=su&sentinel_password=sp")

    assert (target.sentinel_username, target.sentinel_password) == ("su", "sp")
    assert (target.username, target.password) == ("u", "p")


@pytest.mark.parametrize(
    ("url", "options", "shown"),
    [
        ("redis://user:s3cret@h:1/2", {}, "redis://user@h:1/2"),
        ("redis://:s3cret@h", {"use_tls": True}, "rediss://h:6379/0"),
        ("rediss://h", {"redis_password": "s3cret"}, "rediss://h:6379/0"),
        ("redis://[::1]", {}, "redis://[::1]:6379/0"),
        ("unix:///s?password=s3cret", {}, "unix:///s?db=0"),
        ("redis+sentinel://:s3cret@a,b:1/service", {}, "redis+sentinel://a:26379,b:1/service/0"),
        ("redis+cluster://:s3cret@a,b:1", {"use_tls": True}, "rediss+cluster://a:6379,b:1/0"),
    ],
)
def test_nothing_shown_holds_a_password(url: str, options: Any, shown: str) -> None:
    target = resolve_target(url, CacheConfig(**options))

    assert target.url == shown
    assert "s3cret" not in repr(target)


@every(
    "url",
    [
        "",
        "s3cret",
        "http://:s3cret@h",
        "redis+unix://:s3cret@h",
        "redis://:s3cret@h:0",
        "redis://:s3cret@h:65536",
        "redis://:s3cret@h:port",
        "redis://:s3cret/x@h",
        "redis://:s3cret?x@h",
        "redis://:s3cret#x@h",
        "redis://:s3cret[@h",
        "redis://:s3cret\uff20@h",
        "redis://:s3cret@a,b",
        "redis://h/s3cret",
        "redis://h/-1",
        "redis://h/99999999999",
        "redis://h?s3cret=1",
        "unix://",
        "unix:///",
        "redis+sentinel://:s3cret@h",
        "redis+sentinel:///s3cret",
        "redis+sentinel://h,,i/s3cret",
        "redis+cluster://",
        "redis+cluster://:s3cret@h/1",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_target(url)

    error = caught.value
    assert "redis_url" in str(error)
    assert "s3cret" not in f"{error}{error.context}{error.__cause__}{error.__context__}"


def test_a_unix_socket_has_no_tls() -> None:
    with pytest.raises(ConfigurationError, match="unix socket"):
        resolve_target("unix:///s", CacheConfig(use_tls=True))


@pytest.mark.parametrize("option", ["tls_ca_path", "tls_cert_path"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_tls_file_that_is_none_is_refused_at_once(tmp_path: Path, option: str, content: str | None) -> None:
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    options: dict[str, Any] = {option: str(path)}

    with pytest.raises(ConfigurationError, match=option):
        resolve_target("redis://h", CacheConfig(**options))


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ConfigurationError, match="tls_cert_path"):
        resolve_target("rediss://h", CacheConfig(tls_key_path="/key.pem"))


def test_tls_files_are_read_once_and_imply_tls(tmp_path: Path) -> None:
    files = Certificates(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(files.cert.read_text() + files.key.read_text())

    every: list[dict[str, Any]] = [
        {"tls_ca_path": str(files.ca)},
        {"tls_cert_path": str(both)},
        {"tls_ca_path": str(tmp_path)},
    ]
    for options in every:
        target = resolve_target("redis://h", CacheConfig(**options))

        assert target.tls is not None
        assert target.tls.check_hostname
        assert target.url == "rediss://h:6379/0"


def test_a_store_is_what_its_configuration_says() -> None:
    config = CacheConfig(redis_url="redis://u:p@h:7/3", name="web", key_prefix="app:", max_connections=9, timeout=0.5)

    store = open_redis(config, "p:").store

    assert store.location == ("redis://u@h:7/3", "redis", "h", 7, "3")


def test_a_configuration_without_a_url_makes_no_store() -> None:
    with pytest.raises(ConfigurationError, match="redis_url"):
        open_redis(CacheConfig(), "p:")
