"""A wrong key is never ignored, and the answer says what to write."""

import math
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from mmbot.config import Strict


class Dials(Strict):
    """A small configuration."""

    foreign: ClassVar[dict[str, str]] = {"turbo": "there is no turbo; raise gamma"}

    gamma: float = 0.1
    levels: int = 1
    wake: int = Field(default=1, alias="wake_every")


def test_a_misspelt_key_is_answered_with_the_near_one() -> None:
    """Writing gama names gamma."""
    with pytest.raises(ValidationError, match=r"'gama' is no key of Dials; did you mean 'gamma'\?"):
        Dials.model_validate({"gama": 0.2})


def test_a_key_like_no_other_is_answered_with_the_list() -> None:
    """Nothing near: all keys are listed."""
    with pytest.raises(ValidationError, match="'xyzzy' is no key of Dials; expected one of gamma, levels, wake"):
        Dials.model_validate({"xyzzy": 1})


def test_all_wrong_keys_are_named_at_once() -> None:
    """Two slips, one answer."""
    with pytest.raises(ValidationError, match=r"'gama'.*'level'"):
        Dials.model_validate({"gama": 0.2, "level": 2})


def test_a_key_of_another_system_is_answered_with_what_to_do() -> None:
    """A foreign key has its own answer."""
    with pytest.raises(ValidationError, match="'turbo' is no key of Dials: there is no turbo; raise gamma"):
        Dials.model_validate({"turbo": True})


def test_known_keys_and_aliases_pass() -> None:
    """The alias of a field is as good as any key."""
    assert Dials.model_validate({"gamma": 0.2, "wake_every": 3}).wake == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_are_finite(bad: float) -> None:
    """NaN and infinity are no configuration."""
    with pytest.raises(ValidationError, match="finite"):
        Dials(gamma=bad)


def test_a_configuration_does_not_change() -> None:
    """Assigning to a field is refused."""
    with pytest.raises(ValidationError, match="frozen"):
        Dials().gamma = 2.0


def test_what_is_no_mapping_is_refused_by_type() -> None:
    """A list is answered by the type check, not by the key check."""
    with pytest.raises(ValidationError, match="dictionary"):
        Dials.model_validate([1])
