"""The application's settings: arguments over the environment over a preset, as a pydantic-settings class."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from pydantic import BeforeValidator, PlainSerializer, SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from otcache.config.builder import CacheConfigBuilder
from otcache.config.model import CacheConfig, default_of, facts_of, read_ttl, written
from otcache.config.sources import require_valid
from otcache.exceptions import ConfigurationError
from otcache.ttl import ttl_seconds


class _Environment(PydanticBaseSettingsSource):
    """What the environment says, by the one reader that the builder uses too."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: all fields are read at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = CacheConfigBuilder().from_environment().to_dict()
        return {name: value for name, value in found.items() if value is not None}


class _Base(BaseSettings):
    model_config = SettingsConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment."""
        return init_settings, _Environment(settings_cls)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as exc:
            names = sorted({str(error["loc"][0]) for error in exc.errors(include_input=False) if error["loc"]})
            # no `from`: the cause may repeat a secret
            raise ConfigurationError(f"settings can't be used: {', '.join(names)}", {"options": names}) from None

    def to_cache_config(self) -> CacheConfig:
        """The configuration that these settings describe; `ValidationError` if it is not valid."""
        found = {name: _revealed(getattr(self, name)) for name in type(self).model_fields}
        return require_valid(CacheConfig(**found))


def _revealed(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _definitions() -> dict[str, Any]:
    """The fields of `CacheConfig`, secrets as `SecretStr`: options are declared in the model alone."""
    hints = get_type_hints(CacheConfig)
    return {
        f.name: (SecretStr | None if facts_of(f).secret else _readable(f, hints[f.name]), default_of(f))
        for f in fields(CacheConfig)
    }


def _readable(option: Field[Any], hint: Any) -> Any:
    """The type of an option; with a time to live in it, one that reads `forever`, and takes no text for a number."""
    if option.name == "ai_config":
        return Annotated[hint, BeforeValidator(read_ttl)]
    if not facts_of(option).is_ttl:
        return hint
    return Annotated[hint, BeforeValidator(_strict_ttl), PlainSerializer(written, when_used="json")]


def _strict_ttl(value: Any) -> Any:
    found = read_ttl(value)
    return found if found is None else ttl_seconds(found)  # its ValidationError is a ValueError, as pydantic wants


if TYPE_CHECKING:

    class Settings(_Base):
        """Every option of `CacheConfig`, from arguments or `OTCACHE_...` variables."""

        def __init__(self, **given: Any) -> None: ...

else:
    Settings = create_model("Settings", __base__=_Base, __module__=__name__, **_definitions())
    Settings.__doc__ = "Every option of `CacheConfig`, from arguments or `OTCACHE_...` variables."
