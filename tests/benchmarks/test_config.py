"""A benchmark's configuration is checked when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from otcache import BenchmarkConfig, ConfigPresets, ValidationError


def test_no_argument_is_needed_and_a_dictionary_round_trips() -> None:
    config = BenchmarkConfig()

    assert (config.iterations, config.data_size, config.processes) == (1000, 1000, 6)
    assert BenchmarkConfig(**config.to_dict()) == config


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("iterations", 0, r"iterations=0 is outside 1\.\.10000000"),
        ("iterations", "9", "iterations is str, not an integer"),
        ("warmup_iterations", -1, r"warmup_iterations=-1 is outside 0\.\.1000000"),
        ("rounds", 0, r"rounds=0 is outside 1\.\.10000"),
        ("data_size", 1 << 25, r"data_size=33554432 is outside 1\.\.16777216"),
        ("key_count", 0, r"key_count=0 is outside"),
        ("batch_size", 51, r"batch_size=51 is outside 1\.\.key_count, which is 50"),
        ("processes", 0, r"processes=0 is outside 1\.\.1000"),
        ("timeout", 0, r"timeout=0 is outside 0\.\.86400 s, 0 excluded"),
        ("timeout", float("nan"), "timeout=nan is outside"),
        ("timeout", "1", "timeout is str, not a number"),
        ("max_error_rate", 1.1, r"max_error_rate=1\.1 is outside 0\.\.1"),
        ("seed", -1, "seed=-1 is outside"),
        ("progress", 1, "progress is int, not a bool"),
        ("operations", "get", "operations is str"),
        ("operations", (), "operations is empty"),
        ("operations", ("get", "fetch"), "operation='fetch' is none of get, set, delete"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_range(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BenchmarkConfig(**{name: value})


def test_presets_grow() -> None:
    quick, standard, comprehensive = ConfigPresets.quick(), ConfigPresets.standard(), ConfigPresets.comprehensive()

    assert quick.iterations < standard.iterations < comprehensive.iterations
    assert quick.processes < 6 <= standard.processes < comprehensive.processes
    assert quick.operations == standard.operations == ("get", "set", "delete")
    assert comprehensive.operations is None
