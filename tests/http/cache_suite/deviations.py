"""Why tests of the suite fail, required and optional ones: each reason once, and the tests that fail for it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Deviation(NamedTuple):
    """One reason, and the ids of the tests."""

    reason: str
    tests: frozenset[str]


def _why(reason: str, tests: str) -> Deviation:
    return Deviation(reason, frozenset(tests.split()))


DEVIATIONS: Final = (
    _why(
        "A cached endpoint is the origin. Once its response is no longer fresh, the endpoint runs again; there is no "
        "server behind it that could be asked with `If-None-Match` or `If-Modified-Since`.",
        "cc-resp-must-revalidate-stale conditional-etag-vary-headers 304-lm-use-stored-Test-Header "
        "cc-resp-no-cache-revalidate cc-resp-no-cache-revalidate-fresh conditional-etag-strong-generate "
        "conditional-etag-weak-generate-weak",
    ),
    _why(
        "`Date` is the server's, which writes it into every message, and the gateway leaves the origin's out; "
        "`Age` says how old a stored response is.",
        "other-date-update other-date-update-expires freshness-expires-old-date freshness-expires-age-fast-date",
    ),
    _why(
        "A date is read in the three forms of RFC 9110, in their case; what is written otherwise is over.",
        "freshness-expires-wrong-case-weekday freshness-expires-wrong-case-month freshness-expires-wrong-case-tz",
    ),
    _why(
        "The gateway says `shared=True`: requests with `Authorization` get the same responses as all others.",
        "other-authorization",
    ),
    _why(
        "`CDN-Cache-Control` (RFC 9213) is for the caches of a CDN, and is handed on to them as it is.",
        "cdn-private cdn-no-cache cdn-no-store-cc-fresh cdn-fresh-cc-nostore cdn-max-age cdn-max-age-max "
        "cdn-max-age-max-plus",
    ),
    _why(
        "Responses with a status of 500 or more are never stored.",
        "heuristic-501-cached heuristic-599-cached status-500-fresh status-502-fresh status-503-fresh "
        "status-504-fresh status-599-fresh",
    ),
    _why(
        "Only the headers that `vary=` names are part of the key, as they are. The gateway names `Foo`.",
        "vary-2-match vary-normalise-lang-order vary-normalise-lang-case vary-normalise-lang-space "
        "vary-normalise-lang-select vary-normalise-space",
    ),
    _why(
        "A stored response is served whole: ranges are not cut out of it, and no partial response is stored.",
        "partial-store-partial-reuse-partial partial-store-complete-reuse-partial "
        "partial-store-complete-reuse-partial-no-last partial-store-complete-reuse-partial-suffix "
        "partial-store-partial-reuse-partial-byterange partial-store-partial-reuse-partial-absent "
        "partial-store-partial-reuse-partial-suffix partial-store-partial-complete",
    ),
    _why(
        "A 304 is sent by ETag alone: every stored response has one.",
        "conditional-lm-fresh conditional-lm-fresh-earlier conditional-lm-fresh-no-lm conditional-lm-fresh-rfc850",
    ),
    _why("How long a response may be stale is said by `stale_ttl=`, not by the response.", "stale-while-revalidate"),
    _why("`no-store` is obeyed whatever stands beside it.", "status-200-must-understand"),
    _why('POST is cached only where `methods=("POST",)` says so.', "method-POST"),
    _why("A response with `Set-Cookie` is one user's, and never stored.", "other-set-cookie"),
)


def reason_of(test: str) -> str | None:
    """Why a test fails; `None` if that is not known."""
    return next((each.reason for each in DEVIATIONS if test in each.tests), None)
