"""From a TOML file to a checked configuration; every mistake with its place and what to do."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mmbot.config.strict import Strict, shown

__all__ = ["ConfigError", "check", "explain", "load", "read_toml"]

Model = TypeVar("Model", bound=Strict)


class ConfigError(ValueError):
    """A configuration that cannot be used. The message has one line per mistake: where, and what was expected."""


def explain(error: ValidationError, source: str) -> ConfigError:
    """Turn pydantic's findings into lines that a user can act on."""
    lines = []
    for found in error.errors(include_url=False):
        place = ".".join(str(part) for part in found["loc"]) or "top level"
        reason = found["msg"].removeprefix("Value error, ")
        given = found.get("input")
        got = "" if isinstance(given, dict | list) or "unknown key" in reason else f" (got {shown(given)})"
        lines.append(f"{source}: {place}: {reason}{got}")
    return ConfigError("\n".join(lines))


def check(model: type[Model], values: object, source: str, *, folder: Path | None = None) -> Model:
    """Build a model from plain values; files it names lie relative to `folder`, where one is given.

    Raises ConfigError naming `source` and the key.
    """
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise explain(error, source) from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """The plain values of a TOML file. Raises ConfigError for one that is missing or no TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; expected a TOML configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits is no TOMLDecodeError
        raise ConfigError(f"{path}: is no TOML: {error}") from None


def load(path: str | Path, model: type[Model]) -> Model:
    """Read a TOML file. Raises ConfigError for a file that is missing, is no TOML, or does not fit the model."""
    return check(model, read_toml(path), str(path), folder=Path(path).parent)
