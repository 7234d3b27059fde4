"""Regressions: what the detector says about services, and what benchmarks measured."""

from __future__ import annotations

from dashboards.board import Board, Row, events
from dashboards.common import per_second
from dashboards.panels import BAD, FAIR, Column, Limits, Query, State, Tile, alarm, lines, logs, names, stat, table
from dashboards.promql import (
    Expr,
    max_by,
    none_of,
    one_of,
    present,
    quantile,
    series,
    shown,
    sum_by,
)
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    BENCHMARK,
    CACHE,
    ERROR_TYPE,
    EVALUATIONS,
    INDICATOR,
    REGRESSION_STATUS,
    SERIES,
    TARGET,
    TIER,
    VERDICT,
    Instrument,
)

JUDGED = (CACHE, INDICATOR, SERIES, TIER)
EVIDENCE = (*JUDGED, catalog.STATISTIC)
CHANGE = Limits("change_warning", "change_critical")
COLORS = {"critical": "red", "warning": "orange", "minor": "yellow", "inconclusive": "purple", "ok": "green",
           "improved": "blue"}  # fmt: skip
NONE = "no verdicts"


def _in_force(*verdicts: str) -> Expr:
    return sum_by(series(REGRESSION_STATUS, one_of(VERDICT, *verdicts)))


def _now() -> Row:
    return Row("now", "Has anything become worse?", [
        stat("critical", "Critical verdicts",
             "Numbers that became much worse, with confidence. If not 0: find them in the "
             "table, then the deployment at the start of the change.",
             Query(_in_force("critical"), "critical"), "short", steps=alarm(BAD), decimals=0, none=NONE, width=6),
        stat("warning", "Warning verdicts", "Numbers that became worse, with confidence. Look before the next release.",
             Query(_in_force("warning"), "warning"), "short", steps=alarm(FAIR), decimals=0, none=NONE, width=6),
        stat("inconclusive", "Inconclusive verdicts",
             "Too little traffic, or too much noise, for a verdict. If one stays so: judge a longer window.",
             Query(_in_force("inconclusive"), "inconclusive"), "short", decimals=0, none=NONE, width=6),
        stat("improved", "Improved verdicts", "Numbers that became better, with confidence. Time for a new baseline.",
             Query(_in_force("improved"), "improved"), "short", decimals=0, none=NONE, width=6),
    ])  # fmt: skip


def _verdicts() -> Row:
    verdict = shown(max_by(series(REGRESSION_STATUS, none_of(VERDICT, "ok")), TARGET, *JUDGED, VERDICT))
    verdicts = tuple(State(name, name, color) for name, color in COLORS.items())
    change = max_by(series(catalog.REGRESSION_CHANGE), *EVIDENCE)
    return Row("verdicts", "What has changed?", [
        table("verdicts-by-series", "Verdicts by series",
              "One line per series whose verdict is not ok; its change and its evidence "
              "are beside and below.",
              [Column("Service", of=TARGET), Column("Cache", of=CACHE, width=90),
               Column("What", of=INDICATOR, width=150), Column("Tier", of=TIER, width=60),
               Column("Of", of=SERIES, width=90), Column("Verdict", of=VERDICT, states=verdicts),
               Column("in force", "short", verdict)],
              none="nothing has changed", sort="Verdict", rising=True, hide=("in force",), width=12, height=9),
        lines("change-by-series", "Change from the baseline by series",
              "Share of the baseline; above 0 is worse, below 0 better. A step at a "
              "deployment (the blue line) is that deployment's.",
              [Query(change, names(*EVIDENCE))], "percentunit", limits=CHANGE, least=None, none=NONE, width=12,
              height=9),
        lines("series-by-verdict", "Series by verdict",
              "All that are judged. Red or orange growing: a regression "
              "spreads.",
              [Query(sum_by(series(REGRESSION_STATUS), VERDICT), names(VERDICT))], "short", stacked=True, steps=True,
              decimals=0, colors=COLORS, none=NONE),
        _evidence("durations", "Durations: now and baseline", catalog.CURRENT_DURATION, catalog.BASELINE_DURATION,
                  "s", log=True),
        _evidence("shares", "Shares: now and baseline", catalog.CURRENT_RATIO, catalog.BASELINE_RATIO,
                  "percentunit", log=False),
    ])  # fmt: skip


def _evidence(slug: str, title: str, current: Instrument, baseline: Instrument, unit: str, *, log: bool) -> Tile:
    says = "What each verdict rests on; the baseline is dashed. Far apart: worse or better, by the verdict."
    return lines(slug, title, says,
                 [Query(max_by(series(current), *EVIDENCE), names(*EVIDENCE)),
                  Query(max_by(series(baseline), *EVIDENCE), f"baseline: {names(*EVIDENCE)}")],
                 unit, log=log, dashed="baseline", none=NONE)  # fmt: skip


def _detector() -> Row:
    return Row("detector", "Does the detector work?", [
        lines("evaluations-by-verdict", "Evaluations by verdict",
              "Evaluations per second by verdict. None at all: the detector does not run.",
              [Query(per_second(EVALUATIONS, by=(VERDICT,)), names(VERDICT))], "ops", stacked=True, colors=COLORS,
              none="the detector does not run"),
        lines("evaluations-failed", "Failed evaluations by error",
              "Per second, by error. Its log says why; Prometheus may not answer.",
              [Query(per_second(EVALUATIONS, present(ERROR_TYPE), by=(ERROR_TYPE,)), names(ERROR_TYPE))], "ops",
              none="none fails"),
        lines("evaluation-p95", "Evaluation pass duration p95 by service",
              "p95. Near its interval: judge fewer caches, or less often.",
              [Query(quantile(0.95, catalog.EVALUATION_DURATION, by=(TARGET,)), names(TARGET))], "s",
              none="the detector does not run"),
    ])  # fmt: skip


def _benchmarks() -> Row:
    by = (BENCHMARK,)
    times = {
        statistic: max_by(series(catalog.BENCHMARK_DURATION, one_of(catalog.BENCHMARK_STATISTIC, statistic)), *by)
        for statistic in ("mean", "p95", "p99")
    }
    throughput, memory = (
        max_by(series(catalog.BENCHMARK_THROUGHPUT), *by),
        max_by(series(catalog.BENCHMARK_MEMORY), *by),
    )
    none = "no benchmarks"
    return Row("benchmarks", "What did benchmarks measure?", [
        table("benchmark-results", "Last results by benchmark",
              "One line per benchmark. Compare only runs of the same machine.",
              [Column("Benchmark", of=BENCHMARK), *(Column(name, "s", expr) for name, expr in times.items()),
               Column("Throughput", "ops", throughput), Column("Peak memory", "bytes", memory)],
              none=none, sort="Throughput"),
        lines("benchmark-mean", "Mean operation duration by benchmark",
              "Mean of one operation, by benchmark. A step that stays is a "
              "change of the code, or of the machine.",
              [Query(times["mean"], names(BENCHMARK))], "s", log=True, none=none),
        lines("benchmark-throughput", "Throughput by benchmark", "Operations per second, by benchmark.",
              [Query(throughput, names(BENCHMARK))], "ops", log=True, none=none),
        lines("benchmark-memory", "Peak memory by benchmark", "Peak of one run, by benchmark.",
              [Query(memory, names(BENCHMARK))], "bytes", none=none),
    ])  # fmt: skip


def board() -> Board:
    """The dashboard."""
    said = Row("logs", "Logs (needs Loki)", [
        logs("logs-regressions", "Log events of regressions", "One line per regression, with its bounds.",
             events(catalog.REGRESSION_DETECTED, TARGET), width=12),
        logs("logs-benchmarks", "Log events of benchmarks", "One line per benchmark, with its commit.",
             f'{{service_name=~".+"}} | event_name = "{catalog.BENCHMARK_COMPLETED.name}"', width=12),
    ], optional=True)  # fmt: skip
    says = "What the regression detector says about services, with its evidence, and what benchmarks measured."
    rows = [_now(), _verdicts(), _detector(), _benchmarks(), said]
    variables = frozenset(("job", "cache", "benchmark"))
    return Board("regressions", "otcache / Regressions", says, rows, variables, judged=True)
