"""The key contains what FastAPI looks up: the oracle is the same endpoint without the cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Annotated, Any

import hypothesis.strategies as st
from fastapi import Cookie, Depends, FastAPI, Header, Query
from fastapi.exceptions import FastAPIError
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import AliasChoices, AliasPath, BaseModel, Field, RootModel, create_model, model_validator

from otcache import InMemoryCache
from otcache.http import cached_endpoint
from tests.rows import every

NAMES = ("x_a", "x-a", "X-A", "x_b", "x-b", "a", "A", "b_c", "b-c")
"""What is declared and what is sent: close to each other, so that one is mistaken for another."""
PLACES = {"header": Header, "query": Query, "cookie": Cookie}


@dataclass(frozen=True)
class Declared:
    """One parameter of an endpoint: where it is, its name in Python, its type and its options."""

    place: str
    name: str
    annotation: Any
    options: dict[str, Any]

    @property
    def parameter(self) -> Parameter:
        """The parameter as FastAPI wants it."""
        kind: Callable[..., Any] = PLACES[self.place]
        annotated: Any = Annotated
        annotation = annotated[self.annotation, kind(**self.options)]
        return Parameter(self.name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def early(cls: type, values: Any) -> Any:
    """A validator that sees all that was sent, and gives it to the first field."""
    return {**values, next(iter(cls.model_fields)): repr(sorted(values.items()))}  # type: ignore[attr-defined]


names = st.sampled_from(NAMES)
aliases = st.one_of(
    names,
    st.lists(names, min_size=1, max_size=3).map(lambda given: AliasChoices(*given)),
    names.map(lambda name: AliasPath(name, 0)),
    names.map(lambda name: AliasChoices(AliasPath(name, 0), "a")),
)
field_options: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"alias": names, "validation_alias": aliases}
)
configs: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "extra": st.sampled_from(["allow", "ignore", "forbid"]),
        "populate_by_name": st.booleans(),
        "alias_generator": st.sampled_from([str.upper, lambda name: name.replace("_", "-")]),
    },
)


@st.composite
def models(draw: st.DrawFn) -> Any:
    """A model with some fields, perhaps optional, in a union, or with a validator that sees everything."""
    python = st.sampled_from(["x_a", "x_b", "a", "b_c"])
    fields = draw(st.dictionaries(python, field_options, min_size=1, max_size=3))
    annotation = st.sampled_from([str | None, list[str] | None])
    declared = {name: (draw(annotation), Field(default=None, **options)) for name, options in fields.items()}
    validators = {"early": model_validator(mode="before")(early)} if draw(st.integers(0, 4)) == 0 else {}
    create: Any = create_model
    made = create("Made", __config__=draw(configs), __validators__=validators, **declared)
    return draw(st.sampled_from([made, made | None]))


@st.composite
def parameters(draw: st.DrawFn) -> Declared:
    """Any parameter."""
    place, name = draw(st.sampled_from(list(PLACES))), draw(st.sampled_from(["x_a", "x_b", "a", "b_c"]))
    if draw(st.booleans()):
        converts = {"convert_underscores": draw(st.booleans())} if place == "header" else {}
        return Declared(place, name, draw(models()), converts)
    options: dict[str, Any] = draw(field_options)
    if place == "header" and draw(st.booleans()):
        options["convert_underscores"] = False
    plural = place != "cookie" and draw(st.booleans())
    return Declared(place, name, list[str] | None if plural else str | None, options)


def route(app: FastAPI, path: str, declared: list[Declared], wrap: Callable[[Any], Any]) -> None:
    """A route that answers with the values of its parameters; all but the first are a dependency's."""

    async def below(**values: Any) -> str:
        return shown(values)

    async def endpoint(below: str, **values: Any) -> str:
        return below + shown(values)

    below.__signature__ = Signature([each.parameter for each in declared[1:]])  # type: ignore[attr-defined]
    first = [Parameter("below", Parameter.KEYWORD_ONLY, default=Depends(below), annotation=str)]
    endpoint.__signature__ = Signature([*first, declared[0].parameter])  # type: ignore[attr-defined]
    app.get(path)(wrap(endpoint))


def shown(values: dict[str, Any]) -> str:
    """Values as text, further fields of models included."""
    return repr({
        name: (value.model_dump(), value.model_extra) if isinstance(value, BaseModel) else value
        for name, value in values.items()
    })  # fmt: skip


def asked(client: TestClient, path: str, place: str, name: str, value: str) -> tuple[int, str]:
    """What one request is answered that sends one value."""
    if place == "query":
        answer = client.get(path, params={name: value})
    else:
        header = {name: value} if place == "header" else {"cookie": f"{name}={value}"}
        answer = client.get(path, headers=header)
    return answer.status_code, answer.text


def check(declared: list[Declared]) -> None:
    """Each name, in each place that is declared, with two values: answered as without the cache."""
    app, cache = FastAPI(), InMemoryCache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            route(app, "/plain", declared, lambda endpoint: endpoint)
        except (AssertionError, FastAPIError, TypeError):
            return  # FastAPI does not take it
        route(app, "/kept", declared, cached_endpoint(ttl=60, cache=lambda: cache))
    client = TestClient(app, raise_server_exceptions=False)

    for place in sorted({each.place for each in declared}):
        for sent in [(place, name, value) for name in NAMES for value in ("1", "2")]:
            assert (sent, *asked(client, "/kept", *sent)) == (sent, *asked(client, "/plain", *sent))


class Plain(BaseModel):
    x_a: str | None = None
    b_c: list[str] | None = Field(None, alias="x-b")


class Chosen(BaseModel):
    a: str | None = Field(None, validation_alias=AliasChoices("x_b", AliasPath("b_c", 0), "A"))


class Named(Plain, populate_by_name=True):
    pass


class Open(Plain, extra="allow"):
    pass


class Early(Plain):
    @model_validator(mode="before")
    @classmethod
    def look(cls, values: Any) -> Any:
        """See all that was sent."""
        return {"x_a": repr(sorted(values))}


class Raw(RootModel[dict[str, Any]]):
    pass


def declarations(place: str, convert: Any) -> list[Declared]:
    """One of each family, in one place."""
    options: list[dict[str, Any]] = [
        {}, {"alias": "b_c"}, {"alias": "B-C"}, {"validation_alias": "x_b"},
        {"validation_alias": AliasChoices("x_b", "b-c")}, {"validation_alias": AliasPath("x-b", 0)},
    ]  # fmt: skip
    of_models = [Plain, Plain | None, Chosen, Named, Open, Open | None, Early, Raw, Annotated[Plain, "text"]]
    plain = [Declared(place, "x_a", str | None, each | convert) for each in options]
    return plain + [Declared(place, "x_a", model, convert) for model in of_models]


ROWS = [
    *(each for place in PLACES for each in declarations(place, {})),
    *declarations("header", {"convert_underscores": False}),
    Declared("query", "x_a", list[str] | None, {}),
    Declared("header", "x_a", list[str] | None, {}),
]


@every("declared", ROWS)
def test_what_the_framework_looks_up_is_in_the_key(declared: Declared) -> None:
    check([declared])


@settings(max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(declared=st.lists(parameters(), min_size=1, max_size=3, unique_by=lambda each: each.name))
def test_so_it_is_of_any_declaration(declared: list[Declared]) -> None:
    check(declared)
