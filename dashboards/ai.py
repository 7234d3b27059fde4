"""AI savings: for product and finance."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.common import WARNINGS, evidence, hit_ratio, per_second
from dashboards.overview import HIT_RATIO
from dashboards.panels import Column, Limits, Query, lines, names, stat, table
from dashboards.promql import RANGE, Expr, Label, Matcher, increase, one_of, quantile, ratio, series, sum_by, times
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    AI_COST,
    AI_DISPOSITION,
    AI_LOOKUPS,
    AI_OPERATION,
    AI_TEXT_TIER,
    AI_TIME,
    AI_TOKENS,
    RESULT,
    TOKEN_TYPE,
    Instrument,
)

MEASURED = Limits("measured_warning", low_is_bad=True)
SAVED, MEASURED_ONLY = one_of(AI_DISPOSITION, "saved"), one_of(catalog.AI_ESTIMATE, "measured")
NONE = "no AI cache in use"
COLORS = {"saved": "green", "spent": "orange"}


def _total(row: Instrument, *matchers: Matcher, by: tuple[Label, ...] = ()) -> Expr:
    """Of the whole time range."""
    return sum_by(increase(series(row, *matchers), RANGE), *by)


def _savings() -> Row:
    return Row("savings", "What has the cache saved in the chosen time?", [
        stat("money-saved", "Money saved",
             "US dollars not spent, by the prices in the configuration. “no prices”: without them.",
             Query(_total(AI_COST, SAVED), "saved"), "currencyUSD", none="no prices", decimals=2, window=True),
        stat("bill-saved", "Share of the bill saved", "Of what it would have cost without the cache.",
             Query(ratio(_total(AI_COST, SAVED), _total(AI_COST)), "saved"), "percentunit", none="no prices",
             decimals=1, window=True),
        stat("tokens-saved", "Tokens saved", "Tokens of all kinds that the model did not have to read or write.",
             Query(_total(AI_TOKENS, SAVED), "saved"), "short", none=NONE, window=True),
        stat("waiting-saved", "Waiting time saved", "Generation time of the response, once per hit.",
             Query(_total(AI_TIME, SAVED), "saved"), "s", none=NONE, window=True),
        stat("tokens-measured", "Tokens measured, not estimated",
             "Share of tokens that the provider reported; otcache estimates the rest from the texts. If low: pass "
             "usage= to cache_response.",
             Query(ratio(_total(AI_TOKENS, MEASURED_ONLY), _total(AI_TOKENS)), "measured"), "percentunit",
             limits=MEASURED, none=NONE, decimals=0, window=True),
        stat("hit-ratio", "Hit ratio of AI lookups", "Of all lookups of AI responses. Low: texts or options hardly "
             "ever repeat; look for a timestamp or an id in them.",
             Query(hit_ratio(row=AI_LOOKUPS), "hit ratio"), "percentunit", limits=HIT_RATIO, none=NONE, decimals=1),
    ])  # fmt: skip


def _operations() -> Row:
    by = (AI_OPERATION,)
    return Row("operations", "Which operations save?", [
        table("savings-by-operation", "Savings by operation",
              "In the chosen time. A large bill with a low hit ratio is where to "
              "start.",
              [Column("Operation", of=AI_OPERATION),
               Column("Hit ratio", "percentunit", ratio(
                   _total(AI_LOOKUPS, one_of(RESULT, "hit", "stale"), by=by),
                   _total(AI_LOOKUPS, one_of(RESULT, "hit", "stale", "miss"), by=by)), limits=HIT_RATIO, decimals=1),
               Column("Lookups", "locale", _total(AI_LOOKUPS, by=by), decimals=0),
               Column("Saved", "currencyUSD", _total(AI_COST, SAVED, by=by), decimals=2),
               Column("Spent", "currencyUSD", _total(AI_COST, one_of(AI_DISPOSITION, "spent"), by=by), decimals=2),
               Column("Tokens saved", "short", _total(AI_TOKENS, SAVED, by=by)),
               Column("Waiting saved", "s", _total(AI_TIME, SAVED, by=by))],
              none=NONE, sort="Spent", height=7),
        lines("hit-ratio-by-operation", "Hit ratio by operation",
              "If one falls: its prompts or its options have changed.",
              [Query(hit_ratio(row=AI_LOOKUPS, by=by), names(AI_OPERATION))], "percentunit", most=1, none=NONE),
        lines("hit-ratio-by-text-tier", "Hit ratio by size of the text",
              "Long texts repeat less often. If small ones miss too, look for what "
              "makes each unique.",
              [Query(hit_ratio(row=AI_LOOKUPS, by=(AI_TEXT_TIER,)), names(AI_TEXT_TIER))], "percentunit", most=1,
              none=NONE),
        lines("text-length-by-operation", "Text length p95 by operation",
              "Characters, p95 by operation. Texts over max_text_length are not cached.",
              [Query(quantile(0.95, catalog.AI_TEXT_SIZE, by=by), names(AI_OPERATION))], "short", none=NONE),
    ])  # fmt: skip


def _flow() -> Row:
    tokens = per_second(AI_TOKENS, by=(AI_DISPOSITION, TOKEN_TYPE))
    by = (AI_DISPOSITION,)
    return Row("savings-over-time", "How do savings develop?", [
        lines("tokens-by-type", "Tokens per second by disposition and type",
              "Spent rising with the same traffic: fewer hits.",
              [Query(tokens, names(AI_DISPOSITION, TOKEN_TYPE))], "short", stacked=True, none=NONE),
        lines("dollars-by-disposition", "Dollars per hour by disposition",
              "Saved and spent, by the prices in the configuration.",
              [Query(times(3600, per_second(AI_COST, by=by)), names(AI_DISPOSITION))], "currencyUSD", stacked=True,
              colors=COLORS, none="no prices"),
        lines("model-calls", "Concurrent model calls by disposition",
              "Spent: how many run, on average. Saved: how many more would run without "
              "the cache.",
              [Query(per_second(AI_TIME, by=by), names(AI_DISPOSITION))], "short", stacked=True, colors=COLORS,
              none=NONE),
    ])  # fmt: skip


def board() -> Board:
    """The dashboard."""
    operation, cache = f"span.{AI_OPERATION.name}", f"span.{catalog.CACHE.name}"
    traces = evidence(
        ("traces-misses", "Traces of AI lookups that missed",
         "Traced lookups of AI responses that missed, newest first.",
         f'{{ {operation} != nil && {cache} =~ "$cache" && span.{RESULT.name} = "miss" }} | select({operation})'),
        ("traces-by-operation", "Traced calls per second by operation", "Traced calls per second.",
         f'{{ {operation} != nil && {cache} =~ "$cache" }} | rate() by ({operation})'),
        logql=WARNINGS,
    )  # fmt: skip
    says = "What the AI response cache saves: money, tokens, waiting, and how much of that is measured."
    return Board("ai", "otcache / AI savings", says, [_savings(), _operations(), _flow(), traces])
