"""Switches as a user names them on the command line."""

from collections.abc import Sequence
from difflib import get_close_matches

import msgspec
from pydantic import ValidationError

from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.switches import Switches

__all__ = ["read_switches"]


def read_switches(words: Sequence[str]) -> tuple[PublicSwitches, Switches]:
    """The switches of both sides with `NAME=VALUE` applied; a name that both sides have is set on both.

    Raises ValueError for a word without `=`, an unknown name (with the nearest known one), and a value that does not
    fit, saying which.
    """
    public_names, client_names = set(PublicSwitches.model_fields), set(Switches.__struct_fields__)
    public: dict[str, str] = {}
    client: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"--set {word}: expected NAME=VALUE, for example --set ack_ms=5")
        if name not in public_names | client_names:
            near = get_close_matches(name, sorted(public_names | client_names), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see docs/exchange.md for all of them"
            raise ValueError(f"--set {word}: {name!r} is no switch; {hint}")
        if name in public_names:
            public[name] = value
        if name in client_names:
            client[name] = value
    try:
        return PublicSwitches.model_validate(public), msgspec.convert(client, Switches, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"--set {first['loc'][0]}={first['input']}: {first['msg']}") from error
    except msgspec.ValidationError as error:
        raise ValueError(f"--set: {error}") from error
