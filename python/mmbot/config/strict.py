"""Models that refuse what they do not know, and say what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Strict(BaseModel):
    """A frozen model. An unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, values: Any) -> Any:  # noqa: ANN401  pydantic hands over whatever was given
        if not isinstance(values, dict):
            return values
        known = set(cls.model_fields)
        for field in cls.model_fields.values():
            if isinstance(field.validation_alias, str):
                known.add(field.validation_alias)
            elif field.validation_alias is not None:
                known.update(str(choice) for choice in getattr(field.validation_alias, "choices", ()))
        for key in values:
            if key not in known:
                near = get_close_matches(str(key), known, n=1, cutoff=0.6)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
                raise ValueError(f"unknown key {key!r}; {hint}")
        return values
