"""A configuration that answers a slip of the pen instead of ignoring it.

    gama: 0.1      →  'gama' is no key of MarketMakerConfig; did you mean 'gamma'?

A key that is silently ignored is a limit that silently does not hold, so every unknown key is an error. Keys that
people bring from other systems, and that mean something else here, are answered with what to write instead.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["Strict", "shown"]

_SHOWN = 80


def shown(given: object) -> str:
    """Return a value for a message: short, whatever it is."""
    try:
        words = repr(given)
    except ValueError:  # a number of more digits than Python writes
        return f"a {type(given).__name__} too long to write"
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


class Strict(BaseModel):
    """Frozen, finite numbers only, and no key that it does not know. Subclass it beside what it configures."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )

    foreign: ClassVar[Mapping[str, str]] = {}
    """Keys of other systems that have no equal here, each with what to do instead."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, raw: object) -> object:
        """Name all unknown keys at once, each with the nearest known one. Raises ValueError."""
        if isinstance(raw, Mapping):
            known = list(cls._known_keys())
            unknown = [str(key) for key in raw if key not in known]
            if unknown:
                raise ValueError("; ".join(cls._answer(key, known) for key in unknown))
        return raw

    @classmethod
    def _known_keys(cls) -> Iterator[str]:
        for name, field in cls.model_fields.items():
            yield name
            if field.alias is not None:
                yield field.alias

    @classmethod
    def _answer(cls, key: str, known: list[str]) -> str:
        said = f"{key!r} is no key of {cls.__name__}"
        if key in cls.foreign:
            return f"{said}: {cls.foreign[key]}"
        near = get_close_matches(key, known, n=1)
        return f"{said}; " + (f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}")
