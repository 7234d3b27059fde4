"""A /metrics page, as the real exporter renders it and as others might, against the catalogue."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from otcache._exports import prometheus_page as page
from otcache._exports.check import Difference, Report, compare
from otcache._exports.read import SourceError
from otcache.telemetry import catalog
from tests.rows import every
from tests.telemetry import real
from tests.telemetry.real import OPENMETRICS, TEXT

forms = pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])


def checked(text: str, **options: bool | list[str]) -> Report:
    return compare(io.StringIO(text, newline="\n"), **options)  # type: ignore[arg-type]


def found(text: str, **options: bool | list[str]) -> set[tuple[str, str, str]]:
    return {(each.kind, each.metric, each.detail) for each in checked(text, **options).differences}


def without(text: str, name: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(name))


@forms
def test_a_real_page_agrees(accept: str) -> None:
    report = checked(real.page(accept))

    assert (report.differences, report.more) == ((), 0)
    assert catalog.LOOKUPS.prometheus in report.seen
    assert catalog.L2_DURATION.prometheus in report.unseen
    assert report.samples > len(catalog.B_OP)


@forms
def test_a_real_page_with_every_metric_agrees_completely(accept: str) -> None:
    report = checked(real.full_page(accept), complete=True)

    assert report.differences == ()
    assert report.seen == tuple(row.prometheus for row in catalog.INSTRUMENTS)
    assert report.unseen == ()


def test_exemplars_are_read_over() -> None:
    with_exemplars = re.sub(
        r"(?m)^(otcache_operation_duration_seconds_bucket.*)$",
        r'\1 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 1.5e-05 1520879607.789',
        real.page(OPENMETRICS),
    )

    assert ' # {trace_id="0af7651916cd43dd"} 0.3' in real.page(OPENMETRICS), "the client's own"
    assert checked(with_exemplars) == checked(real.page(OPENMETRICS))


def test_metrics_of_others_are_nobodys_business() -> None:
    others = '# TYPE shop_x gauge\nshop_x{otcache_result="odd"} 1\n{"shop.dotted", "a.b"="c"} 2 1395066363000\n'

    assert "shop_orders_total" in real.page()
    assert checked(others + real.page()) == checked(real.page())


def test_an_unknown_metric_is_named() -> None:
    text = real.page() + 'otcache_hits_total{otcache_cache_name="users"} 1\n' * 2

    assert checked(text).differences == (Difference("unknown", "otcache_hits_total", "not in the catalogue", 2),)


def test_a_metric_that_every_process_has_is_missed() -> None:
    text = without(real.page(), catalog.EVICTIONS.prometheus)

    (difference,) = checked(text).differences

    assert (difference.kind, difference.metric, difference.samples) == ("missing", catalog.EVICTIONS.prometheus, 0)


def test_with_a_far_tier_its_metrics_are_missed_too() -> None:
    text = without(real.full_page(), catalog.CIRCUIT_STATUS.prometheus)

    assert {(kind, metric) for kind, metric, _ in found(text)} == {("missing", catalog.CIRCUIT_STATUS.prometheus)}


def test_what_comes_with_use_is_missed_only_when_everything_must_be_there() -> None:
    missed = {metric for kind, metric, _ in found(real.page(), complete=True) if kind == "missing"}

    assert found(real.page()) == set()
    assert missed == set(checked(real.page()).unseen)


@forms
def test_a_wrong_kind_is_named(accept: str) -> None:
    text = re.sub(r"(# TYPE otcache_lookups(?:_total)?) counter", r"\1 gauge", real.page(accept))

    assert found(text) == {("kind", catalog.LOOKUPS.prometheus, "its kind is gauge, not counter")}


def test_a_kind_that_is_not_said_is_not_compared() -> None:
    text = re.sub(r"# TYPE (\w+) \w+", r"# TYPE \1 untyped", real.page())

    assert found(text) == set()


def test_a_wrong_scope_is_named() -> None:
    without_scopes = re.sub(r'otel_scope_name="[^"]*",?', "", real.page())
    text = without_scopes.replace("otcache_writes_total{", 'otcache_writes_total{otel_scope_name="shop",')

    assert found(without_scopes) == set()
    assert found(text) == {("scope", catalog.WRITES.prometheus, "its scope is shop, not otcache")}


@pytest.mark.parametrize("value", ["", None])
def test_a_lacking_attribute_is_named(value: str | None) -> None:
    """An empty label is an absent one, for Prometheus as well."""
    replacement = "" if value is None else 'otcache_tier="",'
    text = re.sub(r'(otcache_writes_total\{.*)otcache_tier="l1",', rf"\1{replacement}", real.page())

    assert found(text) == {("attribute", catalog.WRITES.prometheus, "lacks otcache_tier")}


def test_an_attribute_too_many_is_named_unless_it_is_allowed() -> None:
    text = real.page().replace("otcache_writes_total{", 'otcache_writes_total{cluster="eu",')
    detail = "has cluster, which the catalogue does not give it"

    assert found(text) == {("attribute", catalog.WRITES.prometheus, detail)}
    assert found(text, labels=["cluster"]) == set()


def test_labels_of_the_scrape_and_the_resource_are_all_right() -> None:
    text = re.sub(r"(?m)^(otcache_\w+\{)", r'\1job="shop",instance="a:1",k8s_pod_name="p",', real.page())

    assert found(text) == set()


def test_a_value_outside_its_closed_set_is_named() -> None:
    text = real.page().replace('otcache_write_reason="set"', 'otcache_write_reason="wish"')

    detail = "otcache_write_reason=wish is not one of set, backfill, load, refresh, refused"
    assert found(text) == {("value", catalog.WRITES.prometheus, detail)}


def test_a_value_that_would_move_the_cursor_is_escaped() -> None:
    text = real.page().replace('otcache_write_reason="set"', 'otcache_write_reason="\x1b[2J\\n\\"' + "x" * 200 + '"')

    (detail,) = [detail for _, _, detail in found(text)]

    assert r"'\x1b[2J\n" in detail
    assert detail.isprintable()
    assert len(detail) < 200


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_a_value_that_is_no_number_is_named(value: str) -> None:
    text = re.sub(r"(?m)^(otcache_writes_total\{.*\}) \S+$", rf"\1 {value}", real.page())

    assert found(text) == {("value", catalog.WRITES.prometheus, f"its value is {float(value)}")}


def test_a_cap_that_was_reached_is_named() -> None:
    text = real.page().replace('otcache_cache_name="users"', 'otcache_cache_name="_OTHER"')

    kinds = {kind for kind, _, _ in found(text)}

    assert kinds == {"cap"}
    assert ("cap", catalog.WRITES.prometheus,
            "otcache_cache_name has reached its cap of 200: further values are _OTHER") in found(text)  # fmt: skip


def test_more_values_than_the_cap_are_named_per_process() -> None:
    line = (
        'otcache_writes_total{{instance="{}",otcache_cache_name="{}",otcache_tier="l1",otcache_write_reason="set"}} 1\n'
    )
    two = "".join(line.format(name % 2, name) for name in range(2 * 200))
    one = "".join(line.format(0, name) for name in range(200 + 3))

    assert found(real.page() + two) == set()
    assert checked(real.page() + one).differences == (
        Difference("cap", catalog.WRITES.prometheus, "otcache_cache_name has more than 200 values in one process", 3),
    )


def test_series_that_the_sdk_folded_are_named() -> None:
    text = real.page() + 'otcache_writes_total{otel_metric_overflow="true",otel_scope_name="otcache"} 5\n'

    (difference,) = checked(text).differences

    assert (difference.kind, difference.metric) == ("cap", catalog.WRITES.prometheus)


def test_another_version_of_the_schema_is_named() -> None:
    text = re.sub(r'otcache_schema_version="[^"]*"', 'otcache_schema_version="9.9.9"', real.page())

    detail = f"it is of schema 9.9.9, this catalogue of {catalog.SCHEMA_VERSION}"
    assert found(text) == {("schema", catalog.BUILD_INFO.prometheus, detail)}


def test_a_page_without_anything_of_ours_misses_what_every_process_has() -> None:
    report = checked("shop_orders_total 1\n")

    assert report.samples == 0
    assert {each.kind for each in report.differences} == {"missing"}


def test_differences_without_end_are_counted_not_kept() -> None:
    report = checked(real.page() + "".join(f"otcache_x{number} 1\n" for number in range(1500)))

    assert (len(report.differences), report.more) == (1000, 500)


# --- what is no page ----------------------------------------------------------------------------------


@every(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("\n  \n", "it is empty"),
        ("<!doctype html>\n<title>404</title>\n", "it is HTML or XML, not a metrics page"),
        ("not found\n", "line 1 is no line of a metrics page, or is cut off"),
        ("\n\0\x01\x02\n", "line 2 is no line of a metrics page, or is cut off"),
        ("# HELP a b\na 1\na{b=\"c\n", "line 3 is no line of a metrics page, or is cut off"),
        ("a{b} 1\n", "line 1 is no line of a metrics page, or is cut off"),
        ("a{b=\"c\"}\n", "line 1 is no line of a metrics page, or is cut off"),
        ("a 1\na 2", "it is cut off: its last line has no end"),
        ("# TYPE a info\na 1\n", "it is cut off: it does not end with # EOF"),
        ("# EOF\na 1\n", "line 2 comes after # EOF"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SourceError) as refused:
        checked(text)

    assert str(refused.value) == reason


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@forms
def test_a_real_page_that_is_cut_off_never_agrees(accept: str, share: float) -> None:
    text = real.page(accept)
    cut = text[: text.index("otcache_") + round(share * (len(text) - text.index("otcache_")))].rstrip("\n")

    with pytest.raises(SourceError, match="cut off"):
        checked(cut)


def test_an_openmetrics_page_that_is_cut_between_lines_is_noticed() -> None:
    text = real.page(OPENMETRICS)

    with pytest.raises(SourceError, match="does not end with # EOF"):
        checked(text[: text.index("# HELP otcache_build")])


def test_other_ways_to_write_a_page_are_understood() -> None:
    spaced = re.sub(r'="([^"]*)",', r' = "\1" , ', real.page()).replace("\n", "\r\n\r\n")
    without_feed = real.page(OPENMETRICS).rstrip("\n")

    assert found(spaced) == found(without_feed) == set()


def test_escapes_in_labels_are_undone() -> None:
    line = r'otcache_x{a="b\\n\n\"c",} 1' + "\n"

    (sample,) = page.samples([(1, line)])

    assert sample.labels == {"a": 'b\\n\n"c'}


def test_docs_name_every_kind_of_difference() -> None:
    text = (Path(__file__).parents[2] / "docs" / "checking.md").read_text()

    kinds = set(re.findall(r"(?m)^\| `(\w+)` \|", text))

    assert kinds == {"unknown", "missing", "kind", "unit", "scope", "attribute", "value", "cap", "schema"}
