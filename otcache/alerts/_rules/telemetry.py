"""Telemetry itself: gone, refused, folded; and the application's callbacks."""

from __future__ import annotations

from collections.abc import Iterator

from otcache.alerts.model import Alert
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import DAY, MINUTE, Is, Not, by, number, rate, select, share, summed, told
from otcache.telemetry.catalog import BUILD_INFO, CALLBACK_NAME, CALLBACKS, DROP_REASON, DROPPED, ERROR_TYPE, SIGNAL


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """A dead-man, lost and folded telemetry, failing callbacks."""
    yield _missing(parameters)
    yield _dropped(parameters)
    yield _cardinality(parameters)
    yield _callback(parameters)


def _missing(parameters: Parameters) -> Alert:
    now = select(parameters, BUILD_INFO)
    lasting = select(parameters, BUILD_INFO, lasting=True)
    before = summed(parameters, f"max_over_time({lasting}[{parameters.time(DAY)}])", (), "group")
    return Alert(
        "OtcacheTelemetryMissing",
        "warning",
        "otcache-telemetry",
        f"{before}\nunless on ({by(parameters)}) {summed(parameters, now, (), 'group')}",
        15 * MINUTE,
        "An application reports nothing about its caches any more.",
        "{{ $labels.job }} reported cache metrics within the last "
        f"{parameters.time(DAY)} and reports none now: every other alert is blind for it.",
    )


def _dropped(parameters: Parameters) -> Alert:
    lost = select(parameters, DROPPED, {DROP_REASON: Is(["recording_error"])})
    window = parameters.time(15 * MINUTE)
    return Alert(
        "OtcacheTelemetryDropped",
        "warning",
        "otcache-telemetry",
        f"{summed(parameters, f'increase({lost}[{window}])', [SIGNAL])} > 0",
        0,
        "Telemetry was lost because the SDK, a processor or an exporter raised.",
        told(
            '{{ $value | printf "%.0f" }} records of {signal} were lost in '
            f"{{{{ $labels.job }}}} within {window}.",
            signal=SIGNAL,
        ),
    )


def _cardinality(parameters: Parameters) -> Alert:
    """A level, no increase: the series begins with the first fold, and a cap holds until the process ends."""
    folded = select(parameters, DROPPED, {DROP_REASON: Is(["cardinality"])})
    return Alert(
        "OtcacheTelemetryCardinality",
        "info",
        "otcache-telemetry",
        f"{summed(parameters, folded, ())} > 0",
        0,
        "An attribute of metrics has more values than its cap.",
        "{{ $labels.job }} folded {{ $value | humanize }} values into _OTHER: numbers per value are incomplete.",
    )


def _callback(parameters: Parameters) -> Alert:
    raised = rate(parameters, select(parameters, CALLBACKS, {ERROR_TYPE: Not([""])}), 10 * MINUTE)
    every = rate(parameters, select(parameters, CALLBACKS), 10 * MINUTE)
    part, whole = summed(parameters, raised, [CALLBACK_NAME]), summed(parameters, every, [CALLBACK_NAME])
    return Alert(
        "OtcacheCallbackFailing",
        "info",
        "otcache-telemetry",
        f"{share(part, whole, parameters.callback_floor)}\n> {number(parameters.callback_share)}",
        10 * MINUTE,
        "A callback of the application keeps raising.",
        told(
            "{name} raises in {{ $value | humanizePercentage }} of its runs in "
            "{{ $labels.job }}; nothing else is changed by it.",
            name=CALLBACK_NAME,
        ),
    )
