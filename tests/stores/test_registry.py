"""What a scheme of URLs opens keeps its promises; the registry is the one list of schemes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otcache import CacheConfig
from otcache.config.url import SCHEMES
from otcache.exceptions import ConfigurationError
from otcache.stores import Backend, check_url, open_store, register_store
from otcache.testing import store_contract

ON_THIS_HOST = ["dir", *(name for name, scheme in SCHEMES.items() if scheme.tls is None and name != "unix")]
"""Schemes of stores that need no server, one from a third party."""


@pytest.fixture(autouse=True)
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMES, "dir", SCHEMES["unix"])  # taken back after the test
    register_store("dir", "tests.stores.directory_store:open_directory")


@pytest.mark.parametrize("scheme", ON_THIS_HOST)
async def test_a_store_of_this_host_keeps_its_promises(scheme: str, tmp_path: Path) -> None:
    config = CacheConfig(redis_url=f"{scheme}://{tmp_path}/store")

    def open_backend(prefix: str) -> Backend:
        return open_store(config, prefix)

    for promise in store_contract(without=open_backend("p:").lacks):
        await promise(open_backend)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:6379/0",
        "rediss://h:6379/0",
        "unix:///s?db=0",
        "redis+sentinel://h:26379/service/0",
        "rediss+sentinel://h:26379/service/0",
        "redis+cluster://h:6379/0",
        "rediss+cluster://h:6379/0",
    ],
)
def test_a_redis_can_do_everything(url: str) -> None:
    backend = open_store(CacheConfig(redis_url=url))

    assert (backend.lacks, backend.store.location.system, backend.store.location.url) == ((), "redis", url)


def test_a_driver_is_imported_only_where_its_scheme_is_used() -> None:
    program = "import sys, otcache.stores, otcache.config; print('redis' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "does not start with one of redis://, rediss://"),
        ("rediz://h", "did you mean 'redis'"),
        ("redis://h/x", "database number"),
        ("redis+sentinel://h", "names no service"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused_without_repeating_it(url: str, why: str) -> None:
    for refuse in (check_url, lambda url: open_store(CacheConfig(redis_url=url))):
        with pytest.raises(ConfigurationError, match=why):
            refuse(url)


@pytest.mark.parametrize("scheme", ["", "Dir", "dir://", "1dir", "d ir"])
def test_what_can_not_begin_a_url_is_no_scheme(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="is no scheme of a URL"):
        register_store(scheme, "tests.stores.directory_store:open_directory")


def test_a_store_that_can_not_replace_is_refused_by_the_page_that_says_how() -> None:
    class Touching:
        """Written for a release in which stores had `touch`."""

    register_store("touching", lambda config, prefix: Backend(Touching()))  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match=r"touching:// has a store without `replace`: docs/stores\.md"):
        open_store(CacheConfig(redis_url="touching://x"))

    del SCHEMES["touching"]
