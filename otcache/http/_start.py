"""What is said when an application starts: which cached routes pass by the cache, and because of whom."""

from __future__ import annotations

import logging
from typing import Final

from fastapi import FastAPI

from otcache.http._reach import MARK, routes_of
from otcache.http._readers import unknown_middleware
from otcache.http._routes import Route

_log: Final = logging.getLogger("otcache.http")
_TEXT: Final = (
    "%s may read anything of a request, so %d cached %s by the cache (%s): say what decides by vary=, cookies=, "
    "private_by= or shared=True, or write otcache.http.input_free(%s) if nothing does"
)


def tell_unknown(app: FastAPI) -> None:
    """Say by name what keeps routes from being cached; what only a request shows is said at the first one."""
    held: dict[str, list[str]] = {}
    for route in routes_of(app):
        marked = getattr(route.dependant.call, MARK, None)
        if marked is not None and not marked[0].says_what_decides:
            for name in Route(route, (), marked[1]).inputs.unknown or unknown_middleware(app):
                held.setdefault(name, []).append(route.path_format)
    for name, paths in held.items():
        passing = "route passes" if len(paths) == 1 else "routes pass"
        _log.warning(_TEXT, name, len(paths), passing, ", ".join(paths[:3]) + ", ..." * (len(paths) > 3), name)
