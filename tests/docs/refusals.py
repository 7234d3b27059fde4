"""What is refused because nobody knows what decides the answer, and what it says: the tables in docs/keys.md."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

_GIVEN: Final = """
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any
from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from sqlmodel import Field, SQLModel
from otcache import FOREVER, InMemoryCache, cached, register_type
from otcache.http import cached_endpoint
cache = InMemoryCache()
app = FastAPI()
def current_user() -> int: return 1
"""

FUNCTIONS: Final = (
    '@cached("order:{order_id}", cache=cache)\nasync def order(order_id: int, lang: str) -> str: ...',
    "class Repository:\n    @cached(cache=cache)\n    async def orders(self) -> list[str]: ...",
    "class Model:\n    @classmethod\n    @cached(cache=cache)\n    async def all(cls) -> list[str]: ...",
    '@cached("{self}:{n}", cache=cache)\nasync def price(self, n: int) -> str: ...',
    "@cached(cache=cache)\nasync def orders(request: Request) -> str: ...",
    "@cached(cache=cache)\nasync def orders(user=Depends(current_user)) -> str: ...",
    '@cached("orders", cache=cache)\nasync def orders(user: Annotated[int, Depends(current_user)]) -> str: ...',
    "read = cached(cache=cache)(lambda n: n)",
    '@cached("{a}{b}", cache=cache)\nasync def both(a: str, b: str) -> str: ...',
    """\
def make(rules: object):
    @cached(cache=cache)
    async def apply(n: int) -> str: return str(rules)
    return apply
make(object())""",
    """\
tenant = ContextVar("tenant")
def make(tenant: ContextVar[str]):
    @cached(cache=cache)
    async def orders() -> str: return tenant.get()
    return orders
make(tenant)""",
    """\
@cached(cache=cache)
async def now() -> int: ...
@cached(cache=cache)
async def now() -> str: ...""",
    "cached(cache=cache)([].append)",
    "read = cached(cache=cache)(FastAPI)",
    """\
class Row(SQLModel, table=True):
    id: int = Field(primary_key=True)
@cached(cache=cache)
async def row(n: int) -> Row: ...""",
    "@cached(cache=cache, ttl=-1)\nasync def now() -> int: ...",
)
"""Refused where the function is decorated."""

ENDPOINTS: Final = (
    "@cached_endpoint(shared=True, private_by='user')\nasync def orders(user: int) -> str: ...",
    "@cached_endpoint(public=True, private_by='user')\nasync def orders(user: int) -> str: ...",
    "@cached_endpoint(public=True)\nasync def orders(token: Annotated[Any, Depends(HTTPBearer())]) -> str: ...",
    "@cached_endpoint(private_by='owner.id')\nasync def orders(user: int) -> str: ...",
    "@cached_endpoint(tags=('user:{owner}',))\nasync def orders(user: int) -> str: ...",
    "@cached_endpoint(vary=('*',))\nasync def orders() -> str: ...",
    "@cached_endpoint(vary='x-tenant')\nasync def orders() -> str: ...",
    "@cached_endpoint(methods=('PUT',))\nasync def orders() -> str: ...",
    "@cached_endpoint(ttl=60)\nasync def rows():\n    yield 1",
    "@cached_endpoint(ttl=60)\n@app.get('/orders')\nasync def orders() -> str: ...",
)
"""Refused where the endpoint is decorated."""


def listing(snippets: tuple[str, ...]) -> str:
    """Return the part of the docs that shows what is refused, and the message below each."""
    return "\n\n".join(f"```text\n{snippet}\n```\n\n> {message(snippet)}" for snippet in snippets)


def message(snippet: str) -> str:
    """Return what is raised when the code is run as a module's.

    Raises:
        AssertionError: Nothing is.
    """
    module = ModuleType("shop")
    sys.modules["shop"] = module
    try:
        exec(compile(_GIVEN + snippet, "shop.py", "exec", dont_inherit=True), vars(module))
    except Exception as exc:  # noqa: BLE001  whatever a reader would see
        return str(getattr(exc, "message", exc)).replace("<", "\\<")
    finally:
        del sys.modules["shop"]
    raise AssertionError(f"nothing refuses\n{snippet}")
