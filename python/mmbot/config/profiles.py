"""A named profile laid over a configuration: what differs between a cautious week and a normal one.

    configs/backtest.toml               [strategy.params] gamma = 0.1
    configs/profiles/cautious.toml      [strategy.params] gamma = 0.5          →  gamma is 0.5, all else as it was

Tables are merged key by key; anything else, a list too, is replaced. The result is checked as one configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from mmbot.config.load import ConfigError, check, read_toml
from mmbot.config.strict import Strict

__all__ = ["MissingProfileError", "load_profile", "overlaid", "profile_path"]

Model = TypeVar("Model", bound=Strict)


class MissingProfileError(ConfigError):
    """A profile that is not there. The message says where it was looked for, and which there are."""


def profile_path(config: Path, profile: str) -> Path:
    """Where a configuration's profile lies."""
    return config.parent / "profiles" / f"{profile}.toml"


def load_profile(path: str | Path, model: type[Model], profile: str) -> Model:
    """Read a TOML file with a profile laid over it.

    Raises MissingProfileError for a profile that is not there, ConfigError as `load` for either file.
    """
    config = Path(path)
    over = profile_path(config, profile)
    if not over.is_file():
        known = ", ".join(sorted(one.stem for one in over.parent.glob("*.toml"))) or "none"
        raise MissingProfileError(f"profile {profile!r}: {over} does not exist; there are: {known}")
    return check(model, overlaid(read_toml(config), read_toml(over)), f"{config} with {over}", folder=config.parent)


def overlaid(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two tables as one; where both have a key, tables are merged and anything else is `over`'s."""
    merged = dict(under)
    for key, value in over.items():
        below = under.get(key)
        merged[key] = overlaid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
