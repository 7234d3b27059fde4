"""An application as people have them: SQLModel, a pool in app.state, settings, the current user, middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel
from sqlmodel import Field, Session, SQLModel, create_engine, select
from sqlmodel.pool import StaticPool
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from otcache import CacheConfig, install_cache
from otcache.http import cached_endpoint, input_free

USERS = {"token-ann": "ann", "token-bob": "bob"}


class Product(SQLModel, table=True):
    """A row."""

    id: int = Field(primary_key=True)
    name: str


class ProductRead(BaseModel):
    """What is shown of a row."""

    id: int
    name: str


class Settings(BaseModel):
    """What the environment says."""

    currency: str = "EUR"


engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def get_session() -> Iterator[Session]:
    """Return the database session of one request."""
    with Session(engine) as session:
        yield session


@lru_cache
def get_settings() -> Settings:
    """Return the settings."""
    return Settings()


def get_pool(request: Request) -> Any:
    """Return the connection pool."""
    return request.app.state.pool


@input_free
def get_marked_pool(request: Request) -> Any:
    """Return the connection pool, and say that nothing of the request decides anything."""
    return request.app.state.pool


def current_user(token: Annotated[str, Depends(OAuth2PasswordBearer("token"))]) -> str:
    """Return who asks."""
    if token not in USERS:
        raise HTTPException(401)
    return USERS[token]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the application needs."""
    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        session.merge(Product(id=1, name="pen"))
        session.commit()
    app.state.pool = object()
    yield


Database = Annotated[Session, Depends(get_session)]
User = Annotated[str, Depends(current_user)]


router = APIRouter()


@router.get("/products/{product_id}")
@cached_endpoint(ttl=60)
def product(product_id: int, database: Database) -> ProductRead:
    row = database.exec(select(Product).where(Product.id == product_id)).one()
    return ProductRead(**row.model_dump())


@router.get("/currency")
@cached_endpoint(ttl=60)
async def currency(settings: Annotated[Settings, Depends(get_settings)]) -> str:
    return settings.currency


@router.get("/greeting")
@cached_endpoint(ttl=60)
async def greeting(accept_language: Annotated[str, Header()] = "en") -> str:
    return "Hallo" if accept_language.startswith("de") else "Hello"


@router.get("/stock")
@cached_endpoint(ttl=60)
async def stock(pool: Annotated[Any, Depends(get_pool)]) -> int:
    return 5


@router.get("/stock/marked")
@cached_endpoint(ttl=60)
async def marked_stock(pool: Annotated[Any, Depends(get_marked_pool)]) -> int:
    return 5


@router.get("/tenant")
@cached_endpoint(ttl=60)
async def tenant(request: Request) -> str:
    return request.headers.get("x-tenant", "")


@router.get("/tenant/varied")
@cached_endpoint(ttl=60, vary=("X-Tenant",))
async def varied_tenant(request: Request) -> str:
    return request.headers.get("x-tenant", "")


@router.get("/orders")
@cached_endpoint(ttl=60)
async def orders(user: User) -> str:
    return f"orders of {user}"


@router.get("/orders/private")
@cached_endpoint(ttl=60, private_by="user")
async def private_orders(user: User) -> str:
    return f"orders of {user}"


@router.get("/news")
@cached_endpoint(ttl=60, shared=True)
async def news(user: User) -> str:
    return "the same for every user"


@router.get("/seen")
@cached_endpoint(ttl=60)
async def seen(response: Response) -> str:
    response.set_cookie("seen", "1")
    return "seen"


@router.get("/export")
@cached_endpoint(ttl=60)
async def export() -> StreamingResponse:
    return StreamingResponse(iter(["a", "b"]))


@router.post("/search")
@cached_endpoint(ttl=60)
async def search(words: Annotated[list[str], Body()]) -> list[str]:
    return words


@router.post("/search/kept")
@cached_endpoint(ttl=60, methods=("POST",))
async def kept_search(words: Annotated[list[str], Body()]) -> list[str]:
    return words


def build(*middleware: Any) -> FastAPI:
    """Return the application, with `middleware` between the known one and the routes."""
    app = FastAPI(title="shop", lifespan=lifespan)
    for each in middleware:
        app.add_middleware(each)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    install_cache(app, config=CacheConfig(name="typical"))
    app.include_router(router)
    return app


class Tenants:
    """A middleware that nobody knows: it reads a header, and tells the endpoint."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["tenant"] = dict(scope["headers"]).get(b"x-tenant")
        await self._app(scope, receive, send)


@input_free
class Timing(Tenants):
    """A middleware whose developer says that it decides nothing."""
