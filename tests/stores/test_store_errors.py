"""What exceptions that no server of ours can be made to cause become."""

from __future__ import annotations

import asyncio
import ssl

from redis import exceptions as redis_errors

from otcache.exceptions import StoreError
from otcache.stores.redis.errors import translate
from tests.rows import every


@every(
    ("exc", "expected"),
    [
        (redis_errors.TimeoutError("slow"), ("timeout", "redis.exceptions.TimeoutError", True)),
        (TimeoutError(110, "ETIMEDOUT"), ("timeout", "TimeoutError", True)),
        (redis_errors.ConnectionError("gone"), ("connection", "redis.exceptions.ConnectionError", True)),
        (ConnectionResetError(104, "reset"), ("connection", "ConnectionResetError", True)),
        (ssl.SSLError("bad"), ("connection", "ssl.SSLError", True)),
        (asyncio.IncompleteReadError(b"", 1), ("connection", "asyncio.exceptions.IncompleteReadError", True)),
        (RuntimeError("Event loop is closed"), ("connection", "RuntimeError", True)),
        (redis_errors.InvalidResponse("?"), ("connection", "redis.exceptions.InvalidResponse", True)),
        (redis_errors.MaxConnectionsError(), ("connection", "redis.exceptions.MaxConnectionsError", False)),
        (
            redis_errors.ConnectionError("Too many connections"),
            ("connection", "redis.exceptions.MaxConnectionsError", False),
        ),
        (redis_errors.ConnectionError("max number of clients reached"), ("connection", "ERR", True)),
        (redis_errors.DataError("not bytes"), ("connection", "redis.exceptions.DataError", False)),
        (redis_errors.ResponseError("MISCONF can't persist"), ("server_error", "MISCONF", False)),
        (redis_errors.ResponseError("NOREPLICAS Not enough"), ("server_error", "NOREPLICAS", False)),
        (redis_errors.ResponseError("DENIED protected mode"), ("auth", "DENIED", True)),
        (redis_errors.ResponseError("unknown command"), ("server_error", "ERR", False)),
        (redis_errors.ResponseError("ACL failure in script: User u has no"), ("server_error", "ERR", False)),
        (redis_errors.ResponseError("CLUSTERDOWN Hash slot not served"), ("server_error", "CLUSTERDOWN", True)),
        (redis_errors.AuthenticationError("Authentication required."), ("auth", "NOAUTH", True)),
        (redis_errors.AuthenticationError("invalid username-password pair"), ("auth", "WRONGPASS", True)),
        (redis_errors.OutOfMemoryError("command not allowed"), ("server_error", "OOM", False)),
        (redis_errors.ReadOnlyError("You can't write"), ("server_error", "READONLY", False)),
        (redis_errors.BusyLoadingError("Redis is loading"), ("server_error", "LOADING", True)),
    ],
)
def test_every_exception_has_one_meaning(exc: Exception, expected: tuple[str, str, bool]) -> None:
    error = translate(exc)

    assert (error.reason, error.error_type, error.counts) == expected


def test_a_master_that_sentinel_demoted_is_readonly_and_not_gone() -> None:
    try:
        try:
            raise redis_errors.ReadOnlyError("You can't write against a read only replica.")
        except redis_errors.ReadOnlyError:
            raise redis_errors.ConnectionError("The previous master is now a slave")  # noqa: B904  as redis-py does
    except redis_errors.ConnectionError as exc:
        error = translate(exc)

    assert (error.reason, error.error_type, error.counts) == ("server_error", "READONLY", False)


def test_an_error_of_the_store_stays_what_it_is() -> None:
    error = StoreError("auth", "NOAUTH", counts=True)

    assert translate(error) is error
