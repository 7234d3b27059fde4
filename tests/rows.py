"""A table of small examples as one test: hundreds of cases cost more to collect than to run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pytest

Check = Callable[..., Any]
_FAILURES: Final = (Exception, pytest.fail.Exception)


def every(
    names: str | Sequence[str], rows: Iterable[Any], *, ids: Callable[[Any], Any] | Iterable[Any] = repr
) -> Callable[[Check], Check]:
    """Like `pytest.mark.parametrize`, but one test that tries all rows and names each that fails.

    The rows share the test's fixtures: where a row needs a fresh one, it is a case of its own.

    Args:
        names: The parameters that a row fills.
        ids: What a row is called: a function of each of its values, or a name for each row.
    """
    filled = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = [dict(zip(filled, row if len(filled) > 1 else (row,), strict=True)) for row in rows]

    def decorate(check: Check) -> Check:
        def run(**fixtures: Any) -> None:
            errors: dict[int, BaseException] = {}
            for number, row in enumerate(table):
                try:
                    check(**row, **fixtures)
                except _FAILURES as exc:
                    errors[number] = exc
            _tell(errors, table, ids)

        async def run_async(**fixtures: Any) -> None:
            errors: dict[int, BaseException] = {}
            for number, row in enumerate(table):
                try:
                    await check(**row, **fixtures)
                except _FAILURES as exc:
                    errors[number] = exc
            _tell(errors, table, ids)

        return _like(check, run_async if inspect.iscoroutinefunction(check) else run, filled)

    return decorate


def _tell(errors: dict[int, BaseException], table: Sequence[dict[str, Any]], ids: Any) -> None:
    for number, error in errors.items():
        values = table[number].values()
        error.add_note(f"row: {'-'.join(str(ids(value)) for value in values) if callable(ids) else list(ids)[number]}")
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} of {len(table)} rows fail", list(errors.values()))


def _like(check: Check, test: Check, filled: Sequence[str]) -> Check:
    """`test` under the name of `check`, asking for the fixtures that no row fills."""
    signature = inspect.signature(check)
    left = [each for name, each in signature.parameters.items() if name not in filled]
    test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
    test.__module__ = check.__module__
    test.__dict__.update(check.__dict__)
    test.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    return test
