"""What an endpoint may take: a parameter, how its value is shown, and what of a request decides it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, Signature
from random import Random
from typing import Annotated, Any, Optional

from fastapi import Body, Cookie, Depends, Header, Query, Request, Response, Security
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer, OAuth2PasswordBearer
from fastapi.security.base import SecurityBase
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from tests.http.differential import requests as say
from tests.http.differential.requests import Knob

AMBIENT: ContextVar[str] = ContextVar("AMBIENT", default="nobody")
"""What a middleware of a generated application knows of the request."""


@dataclass(frozen=True)
class Part:
    """One thing that an endpoint or a dependency takes.

    Attributes:
        annotation: The parameter's; `None` for what is read without a parameter.
        knobs: What of a request decides its value.
        default: The parameter's.
        show: Makes its value JSON.
        vary: The headers that decide it, where FastAPI can't know.
    """

    annotation: Any
    knobs: tuple[Knob, ...] = ()
    default: Any = Parameter.empty
    show: Callable[[Any], Any] = lambda value: value
    vary: tuple[str, ...] = ()


class Dice(Random):
    """A source of random numbers that knows the dependencies it has made.

    Attributes:
        calls: What `dependency_overrides` may replace.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.calls: list[Callable[..., Any]] = []


def draw(rng: Dice, depth: int = 0) -> Part:
    """Return a part; dependencies take parts themselves."""
    if depth <= 2 and rng.random() < 0.4:
        return _dependency(rng, depth)
    return rng.choice(_LEAVES)(rng)


# --- parameters -------------------------------------------------------------------------------------------


def _query(rng: Random) -> Part:
    name = rng.choice(("q", "tenant", "owner"))
    return rng.choice(
        (
            Part(Annotated[str, Query(alias=name)], (say.query(name),), ""),
            Part(Annotated[str, Query(validation_alias=name)], (say.query(name),), ""),
            Part(Annotated[list[str], Query(alias=name)], (say.query(name),), ()),
            Part(Annotated[str, Query(validation_alias=AliasChoices(name, "q2"))], (say.query(name, "q2"),), ""),
            Part(Annotated[Optional[str], Query(alias=f"{name}_a")], (say.query(f"{name}_a", f"{name}-a"),), None),  # noqa: UP045
        )
    )


def _header(rng: Random) -> Part:
    both = (say.header("x-tenant", "x_tenant"),)
    return rng.choice(
        (
            Part(Annotated[str, Header(alias="x-tenant")], both, ""),
            Part(Annotated[str, Header(alias="x_tenant")], both, ""),
            Part(Annotated[str, Header(alias="X_Tenant", convert_underscores=False)], both, ""),
            Part(Annotated[str, Header(validation_alias=AliasChoices("x-tenant", "x_tenant"))], both, ""),
            Part(Annotated[list[str], Header(alias="x-tenant")], both, ()),
            Part(Annotated[str | None, Header(alias="accept-language")], (say.header("accept-language"),), None),
        )
    )


def _cookie(rng: Random) -> Part:
    return rng.choice(
        (
            Part(Annotated[str, Cookie(alias="sid")], (say.cookie("sid"),), ""),
            Part(
                Annotated[str, Cookie(validation_alias=AliasChoices("sid", "s_id"))], (say.cookie("sid", "s_id"),), ""
            ),
        )
    )


class Closed(BaseModel):
    """A model of named parameters."""

    owner: str | None = None
    x_tenant: str | None = None


class Open(BaseModel):
    """A model that takes whatever comes."""

    model_config = ConfigDict(extra="allow")
    x_lang: str | None = None


class Aliased(BaseModel):
    """A model whose fields have other names in a request."""

    owner: str = Field("", alias="own-er")
    tenant: str = Field("", validation_alias=AliasChoices("x_tenant", "x-tenant"))


_SENT = (
    "owner", "x_tenant", "x-tenant", "x_lang", "x-lang", "own-er", "x-free", "x-noise", "accept-language", "x-user",
    "x-key", "x_key", "x-http-method-override", "authorization", "cookie", "host",
)  # fmt: skip
"""Every header that a request here may have: an open model shows them all."""


def _model(rng: Random) -> Part:
    place, knob = rng.choice(((Query, say.query), (Header, say.header), (Cookie, say.cookie)))
    names = ("owner", "x_tenant", "x-tenant", "x_lang", "x-lang", "own-er", "x-free")
    model: Any = rng.choice((Closed, Open, Aliased))
    model = model | None if rng.random() < 0.3 else model
    default = None if rng.random() < 0.3 else Parameter.empty
    turns = tuple(knob(*rng.sample(names, 3)) for _ in range(2))
    vary = _SENT if place is Header and model in (Open, Open | None) else ()
    return Part(Annotated[model, place()], turns, default, _dump, vary)


def _dump(value: BaseModel | None) -> Any:
    return None if value is None else {**value.model_dump(), **(value.model_extra or {})}


def _body(_: Random) -> Part:
    return Part(Annotated[dict[str, Any], Body(embed=False)], (say.body,), {})


# --- the whole request ------------------------------------------------------------------------------------

_READS: tuple[tuple[Callable[[Any], Any], Knob, str], ...] = (
    (lambda r: r.headers.get("x-user"), say.header("x-user"), "x-user"),
    (lambda r: r.headers.getlist("x-tenant"), say.header("x-tenant", "x_tenant"), "x-tenant"),
    (lambda r: r.headers.get("authorization"), say.bearer, "authorization"),
    (lambda r: r.cookies.get("sid"), say.cookie("sid"), "cookie"),
    (lambda r: str(r.url), say.query("q", "a;b"), "host"),
    (lambda r: r.url.query, say.query("q", "a b"), "host"),
    (lambda r: dict(r.query_params), say.query("q", "q2"), "host"),
    (lambda r: getattr(r.state, "user", None), say.header("x-user"), "x-user"),
    (lambda r: str(r.scope.get("user")), say.header("x-user"), "x-user"),
    (lambda r: r.scope.get("method"), say.header("x-http-method-override"), "host"),
)


def _request(rng: Random) -> Part:
    read, knob, decides = rng.choice(_READS)
    kind = rng.choice((Request, Request, HTTPConnection))
    return Part(kind, (knob,), show=read, vary=(decides,))


def _ambient(_: Random) -> Part:
    return Part(None, (say.header("x-user"),), show=lambda _: AMBIENT.get(), vary=("x-user",))


# --- security ---------------------------------------------------------------------------------------------


class OwnScheme(SecurityBase):
    """A scheme of the application's own: what it reads is not what its model says."""

    def __init__(self) -> None:
        self.model = APIKey.model_validate({"in": APIKeyIn.header, "name": "x-other"})
        self.scheme_name = "own"

    async def __call__(self, request: Request) -> str | None:
        return request.headers.get("x-user")


class LoudKey(APIKeyHeader):
    """A known scheme that reads one header more than its base."""

    async def __call__(self, request: Any) -> str | None:
        return f"{await super().__call__(request)} {request.headers.get('x-user')}"


def _security(rng: Random) -> Part:
    scheme, knob = rng.choice(
        (
            (HTTPBearer(auto_error=False), say.bearer),
            (HTTPBasic(auto_error=False), say.bearer),
            (OAuth2PasswordBearer("token", auto_error=False), say.bearer),
            (APIKeyHeader(name="X-Key", auto_error=False), say.header("x-key", "x_key")),
            (APIKeyQuery(name="key", auto_error=False), say.query("key")),
            (APIKeyCookie(name="key", auto_error=False), say.cookie("key")),
            (OwnScheme(), say.header("x-user")),
            (LoudKey(name="x-key", auto_error=False), say.header("x-key", "x-user")),
        )
    )
    mark: Any = rng.choice((Depends, Security))
    return Part(Annotated[Any, mark(scheme)], (knob,), show=repr)


# --- dependencies -----------------------------------------------------------------------------------------


def _dependency(rng: Dice, depth: int) -> Part:
    parts = [draw(rng, depth + 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    call = rng.choice(_SHAPES)(function_of(parts, prefix="d"))
    if rng.random() < 0.2:
        call = _with_headers(call)
    mark: Any = partial(Depends, use_cache=rng.random() < 0.8) if rng.random() < 0.8 else Security
    rng.calls.append(call)
    return Part(Annotated[Any, mark(call)], knobs_of(parts), vary=vary_of(parts))


def function_of(parts: list[Part], *, prefix: str = "p") -> Callable[..., Any]:
    """Return a function that takes `parts`, and shows what it was given."""
    named = {f"{prefix}{at}": part for at, part in enumerate(parts)}

    def show(**given: Any) -> dict[str, Any]:
        return {name: part.show(given.get(name)) for name, part in named.items()}

    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=part.default, annotation=part.annotation)
        for name, part in named.items()
        if part.annotation is not None
    ]
    shown: Callable[..., Any] = signed(show, parameters)
    return shown


def signed(function: Any, parameters: list[Parameter]) -> Any:
    """Give `function` a signature that frameworks read."""
    function.__signature__ = Signature(parameters)
    return function


def as_it_is(function: Any) -> Any:
    return function


def as_coroutine(function: Any) -> Any:
    async def call(**given: Any) -> Any:
        return function(**given)

    return signed(call, list(function.__signature__.parameters.values()))


def _generator(function: Any) -> Any:
    def call(**given: Any) -> Iterator[Any]:
        yield function(**given)

    return signed(call, list(function.__signature__.parameters.values()))


def _async_generator(function: Any) -> Any:
    async def call(**given: Any) -> AsyncIterator[Any]:
        yield function(**given)

    return signed(call, list(function.__signature__.parameters.values()))


def _object(function: Any) -> Any:
    class Service:
        def __call__(self, **given: Any) -> Any:
            return function(**given)

    service: Any = Service()
    return signed(service, list(function.__signature__.parameters.values()))


_SHAPES: tuple[Callable[[Any], Any], ...] = (as_it_is, as_coroutine, _generator, _async_generator, _object)


def _with_headers(call: Any) -> Any:
    """Return a dependency that also tells the client what it was given, in a header or a cookie."""

    def tell(inner: Any, response: Response) -> Any:
        said = repr(inner).encode("ascii", "replace").hex()[-40:]
        response.headers["x-told"] = said
        if len(said) % 2:
            response.set_cookie("told", said)
        return inner

    inner = Parameter("inner", Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Depends(call)])
    response = Parameter("response", Parameter.KEYWORD_ONLY, annotation=Response)
    return signed(tell, [inner, response])


def knobs_of(parts: list[Part]) -> tuple[Knob, ...]:
    """Return what of a request decides the values of `parts`."""
    return tuple(knob for part in parts for knob in part.knobs)


def vary_of(parts: list[Part]) -> tuple[str, ...]:
    """Return the headers that decide what FastAPI can't see."""
    return tuple(dict.fromkeys(name for part in parts for name in part.vary))


_LEAVES: tuple[Callable[..., Part], ...] = (
    *[_query] * 3, *[_header] * 3, _cookie, _cookie, *[_model] * 3, *[_request] * 3, _ambient, *[_security] * 3
)  # fmt: skip
