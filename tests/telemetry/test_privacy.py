"""Keys and secrets do not get out."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.privacy import TEXT_LIMIT, KeyPrivacy, mask, redact
from tests.rows import every

KEY = "user:ada@example.org"


def raising(key: str) -> str:
    raise LookupError(key)


def test_a_hash_is_sixteen_hex_digits_and_the_same_for_the_same_salt() -> None:
    (first,) = KeyPrivacy("hash", "salt").attributes(KEY).items()
    (second,) = KeyPrivacy("hash", "salt").attributes(KEY).items()

    assert first == second
    assert first[0] == catalog.KEY_HASH.name
    assert len(bytes.fromhex(first[1])) == 8


def test_without_a_salt_hashes_of_two_processes_do_not_compare() -> None:
    assert KeyPrivacy("hash", None).attributes(KEY) != KeyPrivacy("hash", None).attributes(KEY)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("template", {catalog.KEY_TEMPLATE.name: "user:{mail}"}),
        ("raw", {catalog.KEY_TEMPLATE.name: "user:{mail}", catalog.KEY.name: KEY}),
        ("off", {}),
    ],
)
def test_a_mode_says_what_is_shown(mode: str, expected: dict[str, str]) -> None:
    assert KeyPrivacy(mode, None).attributes(KEY, "user:{mail}") == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("redactor", [raising, lambda key: None, lambda key: 7])
def test_a_redactor_without_an_answer_leaves_the_key_out(redactor: object) -> None:
    assert KeyPrivacy("raw", None, redactor).attributes(KEY) == {}  # type: ignore[arg-type]


def test_a_redactor_decides_what_raw_shows() -> None:
    shown = KeyPrivacy("raw", None, lambda key: key.partition("@")[0]).attributes(KEY)

    assert shown == {catalog.KEY.name: "user:ada"}


@every(
    "text",
    [
        "redis://ada:hunter2@host/0 refused",
        "redis://:hunter2@host",
        "AUTH hunter2",
        "HELLO 3 AUTH ada hunter2 SETNAME app",
        "password=hunter2",
        "{'redis_password': 'hunter2', 'host': 'h'}",
        '{"secret": "hunter2"}',
        "password=b'hunter2'",
        "Authorization: Bearer hunter2",
        "api_key: hunter2",
        "signing_secret=('of many letters', 'hunter2')",
        'OTCACHE_SIGNING_SECRET=["of many letters", "hunter2"]',
        "{'encryption_keys': ['00ff', 'hunter2'], 'name': 'x'}",
        "OTCACHE_ENCRYPTION_KEYS=hunter2",
        "the password hunter2 is wrong",
        "unix:///tmp/s?password=hunter2",
        'password="two hunter2 words"',
    ],
)
def test_a_text_shows_no_secret(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "hunter2" not in mask(f"first line\n{text}")


@pytest.mark.parametrize("key", [KEY, "a b/c", 'it\'s\n"quoted"'])
def test_a_text_does_not_show_the_key_however_it_is_written(key: str) -> None:
    shown = redact(f"{key} | {key!r} | {quote(key, safe='')}", key=key)

    assert key not in shown
    assert repr(key)[1:-1] not in shown
    assert quote(key, safe="") not in shown


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("k", "the load of *** took longer than k1 s, see users:***, '***', \"***\" and [***]"),
        ("k1", "the load of k took longer than *** s, see users:k, 'k', \"k\" and [k]"),
    ],
)
def test_a_very_short_key_is_hidden_as_a_word_and_leaves_other_words_alone(key: str, shown: str) -> None:
    assert redact("the load of k took longer than k1 s, see users:k, 'k', \"k\" and [k]", key=key) == shown


@pytest.mark.parametrize("key", [".", "é", "a b", "a/b", "\\", "\n"])
def test_a_very_short_key_of_other_signs_than_letters_is_hidden_where_it_stands_alone(key: str) -> None:
    assert redact(f"no {key}; no {key!r}; no {quote(key, safe='')}", key=key) == "no ***; no '***'; no ***"


def test_an_ordinary_text_stays_as_it_is() -> None:
    assert redact("connection to redis://h:6379/0 refused", key="k:1") == "connection to redis://h:6379/0 refused"


def test_a_long_text_is_cut_and_costs_no_time() -> None:
    started = time.perf_counter()
    shown = redact("a" * 1_000_000) + redact("a://b:" * 100_000)

    assert len(shown) == 2 * TEXT_LIMIT
    assert time.perf_counter() - started < 20.0  # it took minutes once


@every(
    "hostile", ["redis://" * 500, "redis://x:" * 400, "a://:" * 800, "://" * 1300, "?password=" * 400, "a://b@" * 600]
)
def test_a_hostile_line_costs_little_more_than_words(hostile: str) -> None:
    def cost(text: str) -> float:
        def once() -> float:
            started = time.thread_time()
            mask("\n".join([text] * 10))
            return time.thread_time() - started

        return min(once() for _ in range(5))

    assert cost(hostile) < 10 * cost("abcdefg " * 500)


def test_a_long_traceback_keeps_its_last_line() -> None:
    assert mask("  File x\n" * 2000 + "ValueError: no").endswith("ValueError: no")
