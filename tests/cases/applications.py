"""Small applications with cached endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from otcache import CacheConfig, install_cache
from otcache.http import cached_endpoint
from tests.cases.expected import unless_refused


def application(**options: Any) -> FastAPI:
    """An application with a cache in memory, or as the options say."""
    app = FastAPI()
    install_cache(app, config=CacheConfig(**options))
    return app


def cached_route(
    app: FastAPI, path: str, endpoint: Callable[..., Any], *, guards: Sequence[Callable[..., Any]] = (), **options: Any
) -> None:
    """A cached GET route; an uncached one where the endpoint can't be cached safely and is refused.

    Args:
        app: The application.
        path: The route's path.
        endpoint: What answers.
        guards: Dependencies of the route that give the endpoint nothing.
        options: What the decorator takes; a minute's time to live if nothing else is given.
    """
    cached = unless_refused(cached_endpoint(**{"ttl": 60, **options}))(endpoint)
    app.get(path, dependencies=[Depends(guard) for guard in guards])(cached)


@contextmanager
def asking(app: FastAPI) -> Iterator[TestClient]:
    """A client of the running application that sees a failure as its answer, a 500."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
