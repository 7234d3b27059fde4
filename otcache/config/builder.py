"""A configuration, step by step."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from otcache.config.model import ENVIRONMENTS, AICacheConfig, CacheConfig, ValidationResult
from otcache.config.presets import PRESETS, preset
from otcache.config.sources import ai_from_options, overlay, read_environment, read_file, require_valid
from otcache.exceptions import ConfigurationError, ValidationError

_TUNED: Final = ("default_ttl", "memory_cache_size", "compression_threshold", "compression_level")
_ENVIRONMENTS: Final = {
    "development": (1800, 50, 2000, 4),
    "testing": (60, 25, 1000, 1),
    "production": (7200, 200, 1000, 6),
}


class CacheConfigBuilder:
    """Collects options; `build` gives the configuration. Every step returns the builder.

    Later steps win over earlier ones. A configuration that has been built does not change any more.
    """

    def __init__(self) -> None:
        self._config = CacheConfig()

    def for_environment(self, environment: str) -> Self:
        """Options that suit development, testing or production; `ValidationError` for another one."""
        if environment not in _ENVIRONMENTS:
            raise ValidationError(f"environment={environment!r} is not one of {', '.join(ENVIRONMENTS)}")
        tuned = dict(zip(_TUNED, _ENVIRONMENTS[environment], strict=True))
        return self.with_options(environment=environment, **tuned)

    def with_redis(self, redis_url: str, password: str | None = None, use_tls: bool = False) -> Self:
        """Where Redis is. A password or TLS given earlier stays unless it is given here."""
        found: dict[str, Any] = {"redis_url": redis_url}
        if password is not None:
            found["redis_password"] = password
        if use_tls:
            found["use_tls"] = True
        return self.with_options(**found)

    def with_security(self, tls_cert_path: str | None = None, tls_key_path: str | None = None) -> Self:
        """The client's certificate and key (PEM files); a certificate implies TLS."""
        given = {"tls_cert_path": tls_cert_path, "tls_key_path": tls_key_path}
        found: dict[str, Any] = {name: path for name, path in given.items() if path is not None}
        return self.with_options(**found, **({"use_tls": True} if found else {}))

    def with_compression(self, threshold: int = 1000, level: int = 6) -> Self:
        """Compress payloads above `threshold` bytes, with an effort of 1 to 9."""
        return self.with_options(compression_threshold=threshold, compression_level=level)

    def with_memory_cache(self, size: int) -> Self:
        """Most entries in L1."""
        return self.with_options(memory_cache_size=size)

    def with_ai_features(self, **ai_options: Any) -> Self:
        """An AI cache, with these options of `AICacheConfig`; `ValidationError` if one is unknown."""
        self._config = replace(self._config, ai_config=ai_from_options(ai_options, self._config.ai_config))
        return self

    def with_options(self, **options: Any) -> Self:
        """Any other options of `CacheConfig`; `ValidationError` if one is unknown."""
        self._config = overlay(self._config, options)
        return self

    def from_file(self, file_path: str | Path) -> Self:
        """The options in a JSON file, as `save_to_file` writes it; `ConfigurationError` if they can't be used."""
        try:
            return self.with_options(**read_file(file_path))
        except ValidationError as exc:
            raise ConfigurationError(f"{file_path}: {exc.message}", {"path": str(file_path)}) from exc

    def from_environment(self) -> Self:
        """What `OTCACHE_...` variables set, over the preset of OTCACHE_PRESET; `ConfigurationError` if one is bad."""
        name = os.environ.get("OTCACHE_PRESET")
        if name:
            try:
                self._config = preset(name)
            except KeyError:
                message = f"OTCACHE_PRESET is not one of {', '.join(PRESETS)}"
                raise ConfigurationError(message, {"variable": "OTCACHE_PRESET"}) from None
        return self.with_options(**read_environment())

    def validate(self) -> ValidationResult:
        """Every error and warning of what has been collected."""
        return self._config.validate()

    def build(self) -> CacheConfig:
        """The configuration; `ValidationError`, whose `context` has `errors` and `warnings`, if it is not valid."""
        ai = self._config.ai_config
        # mappings of its own: what the caller still holds must not change a built configuration
        own = AICacheConfig(**ai.to_dict()) if isinstance(ai, AICacheConfig) else ai
        return require_valid(replace(self._config, ai_config=own))

    def to_dict(self) -> dict[str, Any]:
        """What has been collected, secrets included."""
        return self._config.to_dict()

    def save_to_file(self, file_path: str | Path, create_dirs: bool = True) -> None:
        """Write what has been collected to a JSON file that only its owner can read: it holds the password.

        Args:
            file_path: Where; replaced as a whole if it exists.
            create_dirs: Whether to make missing folders.

        Raises:
            ConfigurationError: It can't be written.
        """
        path = Path(file_path)
        try:
            if create_dirs:
                path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, json.dumps(self.to_dict(), indent=2) + "\n")
        except OSError as exc:
            raise ConfigurationError(f"{path} can't be written: {exc.strerror}", {"path": str(path)}) from exc


def _replace(path: Path, text: str) -> None:
    """A reader sees the old file or the new one; a new file has mode 0600 from its first moment."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
