"""How keys appear in telemetry, and what no text of ours may contain."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Literal
from urllib.parse import quote

from otcache.config.url import mask_url
from otcache.exceptions import CacheError, StoreError
from otcache.telemetry import catalog

KeyMode = Literal["hash", "template", "raw", "off"]
TEXT_LIMIT: Final = 256
"""Characters of a free text: a status description, a log line."""

_WORDS: Final = r"(?:passw(?:or)?d|pwd|secret|token|api[_-]?key|authorization|credential|salt)"
_NAMED: Final = re.compile(
    # password=x, 'redis_password': b'x', "Authorization: Bearer x"; a bounded prefix keeps the search linear
    rf"([\w-]{{0,30}}{_WORDS}[\w-]{{0,30}}[\"']?\s*[=:]\s*)"
    r"(?:(?:bearer|basic)\s+\S+|b?\"(?:\\.|[^\"\\])*\"?|b?'(?:\\.|[^'\\])*'?|\S+)",
    re.IGNORECASE,
)
_SPOKEN: Final = re.compile(r"\b(passw(?:or)?d|secret|token|bearer)(\s+)\S+", re.IGNORECASE)
_AUTH: Final = re.compile(r"\b(AUTH)((?:\s+(?!SETNAME\b|\*\*\*)\S+){1,2})", re.IGNORECASE)  # AUTH [user] password
_SECRET_NAME: Final = re.compile(_WORDS, re.IGNORECASE)
_ANY: Final = "surrogatepass"  # a key that was refused for a lone surrogate is looked for like any other
_SHORT: Final = 4
"""Characters from which on a key is hidden inside of words, too."""
_LOOKED_AT: Final = 4096
"""Characters of a text, or of a traceback's line, that are looked at; what follows is cut off."""


class KeyPrivacy:
    """Turns a key into span attributes.

    A hash without a secret salt can be reversed by trying e-mail addresses or ids; without a
    configured one the salt is this process's own, and hashes of two processes do not compare.

    Args:
        mode: hash (keyed BLAKE2b, 64 bits), template (what the source code declares), raw, or off.
        salt: Secret; the same in every process whose hashes should compare.
        redactor: Applied to raw keys; `None` from it, or an exception, leaves the key out.
    """

    def __init__(self, mode: KeyMode, salt: str | None, redactor: Callable[[str], str | None] | None = None) -> None:
        self._mode = mode
        secret = salt.encode() if salt is not None else secrets.token_bytes(32)
        self._hash = blake2b(key=blake2b(secret, digest_size=32).digest(), digest_size=8)
        self._redactor = redactor

    def attributes(self, key: str, template: str | None = None) -> dict[str, str]:
        """The span attributes that stand for `key`."""
        found = {} if template is None or self._mode == "off" else {catalog.KEY_TEMPLATE.name: template}
        if self._mode == "hash":
            keyed = self._hash.copy()
            keyed.update(key.encode(errors=_ANY))
            found[catalog.KEY_HASH.name] = keyed.hexdigest()
        elif self._mode == "raw":
            shown = self._redacted(key)
            if shown is not None:
                found[catalog.KEY.name] = shown
        return found

    def _redacted(self, key: str) -> str | None:
        if self._redactor is None:
            return key
        try:
            shown = self._redactor(key)
        except Exception:  # noqa: BLE001  the application's function: no answer means do not show it
            return None
        return shown if isinstance(shown, str) else None


def own_words(error: BaseException, key: str | None = None) -> str | None:
    """What an exception of ours says, redacted; `None` for anybody else's, whose words may hold values and keys."""
    return redact(str(error), key=key) if isinstance(error, CacheError | StoreError) else None


def redact(text: str, *, key: str | None = None) -> str:
    """`text` without passwords and without `key`, at most 256 characters long."""
    shown = mask(text)
    forms = {key, repr(key)[1:-1], quote(key, errors=_ANY), quote(key, safe="", errors=_ANY)} if key else ()
    for form in sorted(forms, key=len, reverse=True):  # a shorter one may be a part of a longer one
        shown = _without(shown, form)
    return shown[:TEXT_LIMIT]


def _without(text: str, form: str) -> str:
    """`text` without the key `form`; a very short one is no secret, and is in many words: it goes as a word only."""
    if len(form) >= _SHORT:
        return text.replace(form, "***")
    return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)


def mask(text: str) -> str:
    """`text` without passwords, each line of it at most 4096 characters long."""
    return "\n".join(_masked(line[:_LOOKED_AT]) for line in text.split("\n"))


def _masked(line: str) -> str:
    named = _NAMED.sub(r"\1***", mask_url(line))
    return _SPOKEN.sub(r"\1\2***", _AUTH.sub(r"\1 ***", named))


def is_secret(name: str) -> bool:
    """Whether what is called `name` must not be shown, whatever it is."""
    return _SECRET_NAME.search(name) is not None
