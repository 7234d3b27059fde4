"""What docs/api-reference.md says of names, signatures, defaults, statuses and callbacks holds."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import fastapi
import pytest

import otcache
from otcache import dependencies, exceptions
from tests.rows import every
from tests.shape import document
from tests.shape.document import Block

CACHES = (otcache.InMemoryCache, otcache.GenericRedisCache, otcache.AIResponseCache)


def test_the_document_has_all_its_blocks() -> None:
    found = Counter(block.kind for block in document.read())

    assert found == {"signature": 57, "example": 17, "import": 16, "dataclass": 4}


@every("block", document.of_kind("import"), ids=str)
def test_a_documented_name_is_where_the_document_imports_it_from(block: Block) -> None:
    namespace: dict[str, Any] = {}

    exec(document.translated(block.code), namespace)

    name = block.headings[-1].split()[-1]
    assert namespace[name] is getattr(otcache, name)


# --- signatures -----------------------------------------------------------------------------------------


def documented_signature(block: Block) -> inspect.Signature:
    """The signature of the block, made by Python itself; names in its defaults are the real ones."""
    header = block.function
    header.decorator_list = []
    module = ast.Module([*ast.parse("from __future__ import annotations").body, header], type_ignores=[])
    namespace = vars(dependencies) | {"Depends": fastapi.Depends}
    exec(compile(ast.fix_missing_locations(module), str(document.DOCUMENT), "exec"), namespace)
    return inspect.signature(namespace[header.name])


class _Plain(ast.NodeTransformer):
    """Spellings of one type become one spelling."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner

    def visit_Name(self, node: ast.Name) -> ast.AST:
        # wider than documented: a time to live may be an integer, and more
        ours = {"TTL": "int", "Mapping": "dict"}
        names = {"Dict": "dict", "List": "list", "Self": self.owner or "Self", **ours}
        return ast.Name(names.get(node.id, node.id))

    def visit_Constant(self, node: ast.Constant) -> Any:
        return self._again(node.value) if isinstance(node.value, str) else node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        parts = [ast.unparse(part) for part in getattr(node.slice, "elts", [node.slice])]
        match ast.unparse(node.value):
            case "Optional":
                return self._again(f"{parts[0]} | None")
            case "Union":
                return self._again(" | ".join(parts))
            case "Annotated":
                return self._again(parts[0])
            case "Callable":
                return node.value
        return self.generic_visit(node)

    def _again(self, text: str) -> Any:
        return self.visit(ast.parse(text, mode="eval").body)


def plain(annotation: Any, owner: str | None) -> frozenset[str] | None:
    """The members of a type, in one spelling; `None` where there is none."""
    if annotation is inspect.Parameter.empty:
        return None
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return frozenset(ast.unparse(_Plain(owner).visit(ast.parse(text, mode="eval").body)).split(" | "))


def default(parameter: inspect.Parameter) -> Any:
    dependency = getattr(parameter.default, "dependency", None)
    return parameter.default if dependency is None else f"Depends({dependency.__name__})"


def named(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]


def takes_any(signature: inspect.Signature) -> bool:
    return len(named(signature)) < len(signature.parameters)


def targets() -> list[tuple[Block, type | None]]:
    """Every documented function with the block that documents it; what is abstract also in each cache."""
    cases: list[tuple[Block, type | None]] = []
    for block in document.of_kind("signature"):
        owners = [None] if block.owner is None else [document.find(block.owner)]
        if block.owner == "CacheInterface":
            owners += CACHES
        cases += [(block, owner) for owner in owners]
    return cases


TARGETS = targets()
NAMES = [f"{owner.__name__}.{block.function.name}" if owner else block.function.name for block, owner in TARGETS]


@every(("block", "owner"), TARGETS, ids=NAMES)
def test_a_signature_is_as_documented(block: Block, owner: type | None) -> None:
    documented = documented_signature(block)

    real = inspect.signature(getattr(owner or dependencies, block.function.name))

    ours = named(real)[: len(named(documented))]
    assert [(p.name, p.kind, default(p)) for p in ours] == [(p.name, p.kind, default(p)) for p in named(documented)]
    assert all(p.default is not p.empty for p in named(real)[len(ours) :])
    assert takes_any(real) >= takes_any(documented)
    for p, said in zip(ours, named(documented), strict=True):
        assert plain(said.annotation, block.owner) in (None, plain(p.annotation, block.owner)), p.name
    said_return = plain(documented.return_annotation, block.owner)
    # our dependencies promise more than is documented: a `Cache` is a `CacheInterface` with all that ours offer
    promised = {"CacheInterface" if name == "Cache" else name for name in plain(real.return_annotation, None) or ()}
    assert said_return in (None, plain(real.return_annotation, block.owner), promised)


@every(("block", "owner"), TARGETS, ids=NAMES)
def test_a_function_is_of_the_documented_kind(block: Block, owner: type | None) -> None:
    decorators = {ast.unparse(decorator) for decorator in block.function.decorator_list}

    real = inspect.getattr_static(owner or dependencies, block.function.name)

    function = inspect.unwrap(real.__func__ if isinstance(real, staticmethod) else real)
    assert inspect.iscoroutinefunction(function) == isinstance(block.function, ast.AsyncFunctionDef)
    assert isinstance(real, staticmethod) == ("staticmethod" in decorators)
    if owner not in CACHES:
        assert getattr(real, "__isabstractmethod__", False) >= ("abstractmethod" in decorators)


# --- data classes ---------------------------------------------------------------------------------------


def documented_class(block: Block) -> type:
    namespace: dict[str, Any] = {}
    names = "from __future__ import annotations\nfrom dataclasses import dataclass, field\n"
    exec(names + block.code, namespace)
    (found,) = (value for value in namespace.values() if getattr(value, "__module__", None) == "builtins")
    return found  # type: ignore[no-any-return]


def value_of(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


@pytest.mark.parametrize("block", document.of_kind("dataclass"), ids=lambda block: block.owner)
def test_a_data_class_has_the_documented_attributes(block: Block) -> None:
    documented = dataclasses.fields(documented_class(block))

    real = dataclasses.fields(document.find(str(block.owner)))[: len(documented)]

    assert [(f.name, value_of(f)) for f in real] == [(f.name, value_of(f)) for f in documented]
    assert [plain(f.type, None) for f in real] == [plain(f.type, None) for f in documented]


# --- tables and lists -----------------------------------------------------------------------------------


def listed(pattern: str) -> list[tuple[str, str]]:
    return re.findall(pattern, document.DOCUMENT.read_text(), re.MULTILINE)


STATUSES = listed(r"^- `(\w+)` → (\d{3}) ")
EVENTS = listed(r"^- `(\w+)\((.*)\) -> None`$")


def test_every_documented_status_and_event_was_found() -> None:
    assert [name for name, _ in STATUSES] == ["ConfigurationError", "ValidationError", "InfrastructureError"]
    assert [name for name, _ in EVENTS] == ["get_success", "get_miss", "set_success", "delete_success"]
    assert listed(r"^- `(\w+)`: (Fired) when") == [(name, "Fired") for name, _ in EVENTS]


@pytest.mark.parametrize(("name", "status"), STATUSES)
def test_an_error_has_its_documented_http_status(name: str, status: str) -> None:
    error = getattr(exceptions, name)("what happened", {"field": "default_ttl"})

    assert exceptions.get_http_status_for_exception(error) == int(status)
    assert error.context == {"field": "default_ttl"}


@pytest.fixture(params=CACHES, ids=lambda kind: kind.__name__)
async def cache(request: pytest.FixtureRequest, redis_server: Any, prefix: str) -> Any:
    options = {} if request.param is otcache.InMemoryCache else {"redis_url": redis_server.url}
    async with request.param(key_prefix=prefix, **options) as cache:
        yield cache


@pytest.mark.parametrize(("event", "parameters"), EVENTS)
async def test_a_callback_is_called_as_documented(cache: otcache.CacheInterface, event: str, parameters: str) -> None:
    calls: list[dict[str, Any]] = []
    cache.register_callback(event, recorder(parameters, calls))

    await cache.set("user:1", "Ada")
    await cache.get("user:1")
    await cache.delete("user:1")
    await cache.get("user:1")

    expected = {"key": "user:1", "value": "Ada"}
    assert calls == [{name: expected[name] for name in calls[0]}]
    assert [f"{name}: {'str' if name == 'key' else 'Any'}" for name in calls[0]] == parameters.split(", ")


def recorder(parameters: str, calls: list[dict[str, Any]]) -> Callable[..., None]:
    """A function with exactly the documented parameters."""
    namespace: dict[str, Any] = {"calls": calls, "Any": Any}
    exec(f"def called({parameters}) -> None:\n    calls.append(locals())", namespace)
    return namespace["called"]  # type: ignore[no-any-return]
