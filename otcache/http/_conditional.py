"""Entity tags: computed from what is sent, and compared as RFC 9110 says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_TAG: Final = re.compile(r'[ \t]*(?:,[ \t]*)*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)')
_EMPTY: Final = re.compile(r"[ \t,]*$")


def etag_of(body: bytes, *metadata: str) -> str:
    """Return a strong entity tag: the same in every process for equal bytes with equal metadata, and for no others.

    Args:
        body: The body that is sent.
        metadata: The rest of the representation: its type, its encoding, its language.
    """
    digest = blake2b(digest_size=16)
    for part in (*(text.encode("utf-8", "surrogateescape") for text in metadata), body):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return f'"{digest.hexdigest()}"'


def opaque(tag: str) -> str:
    """Return a tag without `W/`: the weak comparison ignores it (RFC 9110, 8.8.3.2)."""
    return tag.removeprefix("W/")


def none_match(field: str, etag: str) -> bool:
    """Whether no tag in an If-None-Match field is the representation's (RFC 9110, 13.1.2): it is sent then.

    A field that is neither `*` nor a list of tags does not name it.
    """
    if field.strip(" \t") == "*":
        return False
    return opaque(etag) not in set(_tags(field))


def _tags(field: str) -> Iterable[str]:
    at, found = 0, []
    while _EMPTY.match(field, at) is None:
        matched = _TAG.match(field, at)
        if matched is None:
            return ()
        found.append(matched[1])
        at = matched.end()
    return found
