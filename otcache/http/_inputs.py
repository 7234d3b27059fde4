"""What an endpoint and its dependencies read of a request, under the names by which FastAPI looks it up.

One name too many does no harm; one too few gives a caller another's answer. So a name that some version of FastAPI
may look up is in the key, and what can't be named is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from fastapi.dependencies.utils import get_dependant
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery
from fastapi.security.base import SecurityBase
from pydantic import AliasChoices, AliasPath, BaseModel, RootModel

from otcache.http._code_identity import identity
from otcache.http._input_free import is_input_free, name_of


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the effective dependencies of one route read.

    Attributes:
        query: The query parameters; `None` if one of them may read any.
        headers: The headers, in lower case.
        cookies: The cookies; `None` if one of them may read any.
        whole: Whether the endpoint or a dependency takes the whole request.
        body: Whether one of them reads the body.
        credentials: What security schemes read: "header", "query" or "cookie", and its name.
        unknown: What reads of the request nobody knows what, by name.
        code: Tells apart code that may answer the same request differently.
    """

    query: frozenset[str] | None
    headers: tuple[str, ...]
    cookies: tuple[str, ...] | None
    whole: bool
    body: bool
    credentials: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]
    code: str

    @property
    def credential_headers(self) -> tuple[str, ...]:
        """The headers that hold what security schemes read."""
        return tuple(
            {"header": name, "cookie": "cookie"}[place] for place, name in self.credentials if place != "query"
        )


def read_inputs(
    dependant: Any, overrides: Mapping[Any, Any], own: Any, *, endpoint: tuple[Any, ...], reader: type | None
) -> Inputs:
    """Read what a route's `dependant` reads with these overrides.

    Args:
        dependant: The route's, with what its routers add.
        overrides: The application's.
        own: Our dependency, which is left out.
        endpoint: The function below our decorator, and what else makes its answers.
        reader: A class of routes that may read the request itself.
    """
    tree = list(_effective(dependant, overrides, own))
    schemes = [each.call for each in tree if _is_known_scheme(each.call)]
    takers = [each for each in tree if _takes_request(each)]
    readers = [] if reader is None else [name_of(reader)]
    open_headers = [f"the headers of {name_of(each.call)}" for each in tree if any(map(_is_open, each.header_params))]
    queries = [field for each in tree for field in each.query_params]
    cookies = [field for each in tree for field in each.cookie_params]
    return Inputs(
        query=None if takers or any(map(_is_open, queries)) else frozenset(_names(queries)),
        headers=tuple(sorted({name.lower() for each in tree for name in _names(each.header_params)})),
        cookies=None if any(map(_is_open, cookies)) else tuple(sorted(set(_names(cookies)))),
        whole=bool(takers),
        body=bool(takers) or any(each.body_params for each in tree),
        credentials=tuple(sorted({_credential_of(scheme) for scheme in schemes})),
        unknown=tuple(dict.fromkeys([*(name_of(each.call) for each in takers), *open_headers, *readers])),
        code=identity(*endpoint, *(each.call for each in tree[1:]), *_defaults(tree), *map(_scopes, tree)),
    )


# --- the effective dependencies -------------------------------------------------------------------------


def _effective(dependant: Any, overrides: Mapping[Any, Any], own: Any) -> Iterator[Any]:
    """Yield a dependant and those below it, as FastAPI solves them: an override's own are looked at too."""
    yield dependant
    for below in dependant.dependencies:
        if below.call is own:
            continue
        call = overrides.get(below.call, below.call)
        used = below if call is below.call else get_dependant(path=below.path, call=call, name=below.name)
        yield from _effective(used, overrides, own)


def _takes_request(dependant: Any) -> bool:
    """Whether it may read anything of a request."""
    takes = dependant.request_param_name or dependant.http_connection_param_name or dependant.websocket_param_name
    return bool(takes) and not _is_known_scheme(dependant.call) and not is_input_free(dependant.call)


def _is_known_scheme(call: Any) -> bool:
    """Whether it is a security scheme of FastAPI's, which reads what it declares; a subclass may read anything."""
    if not isinstance(call, SecurityBase):
        return False
    owner = next((kind for kind in type(call).__mro__ if "__call__" in vars(kind)), object)
    return owner.__module__.startswith("fastapi.security.")


def _credential_of(scheme: Any) -> tuple[str, str]:
    """Return where a known scheme looks, and for what."""
    if isinstance(scheme, APIKeyHeader | APIKeyCookie | APIKeyQuery):
        name: str = scheme.model.name
        return scheme.model.in_.value, name.lower() if isinstance(scheme, APIKeyHeader) else name
    return "header", "authorization"


def _scopes(dependant: Any) -> tuple[str, ...]:
    """Return what `Security(scopes=...)` says; newer versions of FastAPI keep it elsewhere."""
    return tuple(getattr(dependant, "own_oauth_scopes", getattr(dependant, "security_scopes", None)) or ())


def _defaults(tree: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield what parameters are without a value in the request: two applications may differ in that alone."""
    for each in tree:
        for kind in ("query_params", "header_params", "cookie_params", "body_params"):
            yield from ((field.name, repr(field.field_info.default)) for field in getattr(each, kind))


# --- names ----------------------------------------------------------------------------------------------


def _names(fields: Iterable[Any]) -> Iterator[str]:
    for field in fields:
        yield from _names_of(field.name, field.alias, field.field_info, is_model=False)
        for model in _models_in(field.field_info.annotation):
            for name, info in model.model_fields.items():
                yield from _names_of(name, name, info, is_model=True)


def _names_of(name: str, looked_up: str, info: Any, *, is_model: bool) -> Iterator[str]:
    """Yield the names that a parameter or a model's field may have in the request."""
    yield from {looked_up, *_aliases(info.alias), *_aliases(info.validation_alias)}
    converted = name.replace("_", "-")
    if is_model:  # a model is given all further values, too: also those under the field's own name
        yield from {name, converted}
    else:
        yield converted if getattr(info, "convert_underscores", False) else name


def _aliases(alias: Any) -> Iterator[str]:
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, AliasPath):
        yield str(alias.path[0])
    elif isinstance(alias, AliasChoices):
        for choice in alias.choices:
            yield from _aliases(choice)


def _is_open(field: Any) -> bool:
    """Whether other parameters than the named ones may be read.

    FastAPI gives a model everything that the request has: what runs before the model's fields are taken from it, may
    look at all.
    """
    models = list(_models_in(field.field_info.annotation))
    return bool(models) and (bool(field.field_info.metadata) or any(map(_is_open_model, models)))


def _is_open_model(model: type[BaseModel]) -> bool:
    decorators = model.__pydantic_decorators__
    early = any(each.info.mode != "after" for each in decorators.model_validators.values())
    own_schema = _is_changed(model, "__get_pydantic_core_schema__")
    own_init = bool(getattr(model, "__pydantic_custom_init__", False))
    return (
        model.model_config.get("extra") == "allow" or issubclass(model, RootModel) or early or own_schema or own_init
        or bool(decorators.root_validators)
    )  # fmt: skip


def _is_changed(model: type[BaseModel], method: str) -> bool:
    return getattr(getattr(model, method), "__func__", None) is not getattr(
        getattr(BaseModel, method), "__func__", None
    )


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of an annotation: optional ones, of a union, behind an alias."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in (*get_args(annotation), getattr(annotation, "__value__", None)):
        if part is not None and part is not annotation:
            yield from _models_in(part)
