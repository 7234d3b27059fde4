"""A third party's store, whole: a file per entry, for processes of one host. No locks, no invalidations, no messages.

register_store("dir", "my_package.directory_store:open_directory")
cache = GenericRedisCache(redis_url="dir:///var/cache/app")
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import struct
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from otcache.config import CacheConfig
from otcache.exceptions import ConfigurationError, StoreError
from otcache.stores import Backend, ChangeMessage, LocalClock, Location, glob_matcher

T = TypeVar("T")
_HEAD = struct.Struct(">QH")
BATCH = 200
"""Files that a scan reads in one go."""


def open_directory(config: CacheConfig, prefix: str) -> Backend:
    """The directory that `dir:///a/path` names."""
    return Backend(DirectoryStore(Path(_path(config.redis_url or "")), prefix))


def _path(url: str) -> str:
    path = unquote(urlsplit(url).path)
    if not path.strip("/"):
        raise ConfigurationError("redis_url names no directory: write dir:///path/to/directory")
    return path


check_url = _path


class _File(NamedTuple):
    """A file's content: when it expires (ms; 0 never), its key, its payload."""

    expires: int
    key: str
    payload: bytes


class DirectoryStore:
    """A `ByteStore` of files; a file is replaced as a whole, so no reader sees half of one."""

    def __init__(self, root: Path, prefix: str) -> None:
        self.location = Location(f"dir://{root}", "directory", str(root))
        self.clock = LocalClock()
        self._folder = root / hashlib.sha256(prefix.encode()).hexdigest()
        self._closed = False

    async def _run(self, work: Callable[[], T]) -> T:
        """Work on files in a thread; a cancelled call leaves the thread to itself."""
        if self._closed:
            raise StoreError("connection", "closed", counts=False)
        try:
            return await asyncio.to_thread(work)
        except OSError as exc:
            raise StoreError("server_error", type(exc).__name__, counts=True) from exc

    # --- files --------------------------------------------------------------------------------------

    def _file(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()

    def _load(self, path: Path) -> _File | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        expires, size = _HEAD.unpack_from(content)
        if expires and expires <= self.clock.now_ms():
            return None
        key = content[_HEAD.size : _HEAD.size + size].decode(errors="surrogateescape")
        return _File(expires, key, content[_HEAD.size + size :])

    def _save(self, key: str, payload: bytes, expires: int) -> None:
        name = key.encode(errors="surrogateescape")
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".")
        with os.fdopen(handle, "wb") as file:
            file.write(_HEAD.pack(expires, len(name)) + name + payload)
        os.replace(temporary, self._file(key))

    def _expiry(self, ttl_ms: int) -> int:
        return self.clock.now_ms() + ttl_ms if ttl_ms else 0

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process or thread changes anything meanwhile."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- the protocol -------------------------------------------------------------------------------

    async def ping(self) -> None:
        await self._run(lambda: self._folder.mkdir(parents=True, exist_ok=True))

    async def read(self, key: str) -> bytes | None:
        [payload] = await self.read_many([key])
        return payload

    async def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        def work() -> list[bytes | None]:
            files = [self._load(self._file(key)) for key in keys]
            return [None if file is None else file.payload for file in files]

        return await self._run(work)

    async def contains(self, key: str) -> bool:
        return await self.read(key) is not None

    async def left_ms(self, key: str) -> int | None:
        file = await self._run(lambda: self._load(self._file(key)))
        if file is None:
            return None
        return max(file.expires - self.clock.now_ms(), 1) if file.expires else 0

    async def write(self, key: str, payload: bytes, ttl_ms: int, message: ChangeMessage | None = None) -> None:
        [error] = await self.write_many([(key, payload)], ttl_ms)
        if error is not None:
            raise error

    async def write_many(
        self, items: Sequence[tuple[str, bytes]], ttl_ms: int, message: ChangeMessage | None = None
    ) -> list[StoreError | None]:
        def work() -> list[StoreError | None]:
            with self._alone():
                for key, payload in items:
                    self._save(key, payload, self._expiry(ttl_ms))
            return [None] * len(items)

        return await self._run(work)

    async def remove(self, keys: Sequence[str], message: ChangeMessage | None = None) -> int:
        def work() -> int:
            with self._alone():
                held = [key for key in keys if self._load(self._file(key)) is not None]
                for key in keys:
                    self._file(key).unlink(missing_ok=True)
            return len(held)

        return await self._run(work)

    async def replace(
        self, key: str, old: bytes, new: bytes, ttl_ms: int, message: ChangeMessage | None = None
    ) -> bool:
        def work() -> bool:
            with self._alone():
                file = self._load(self._file(key))
                held = file is not None and file.payload == old
                if held:
                    self._save(key, new, self._expiry(ttl_ms))
            return held

        return await self._run(work)

    async def scan(self, pattern: str) -> AsyncGenerator[list[str], None]:
        matches = glob_matcher(pattern)

        def names() -> list[Path]:
            with suppress(FileNotFoundError):
                return [path for path in self._folder.iterdir() if not path.name.startswith(".")]
            return []

        def keys(paths: list[Path]) -> list[str]:
            return [file.key for path in paths if (file := self._load(path)) is not None and matches(file.key)]

        paths = await self._run(names)
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            yield await self._run(lambda some=some: keys(some))  # type: ignore[misc]

    async def close(self) -> None:
        self._closed = True
