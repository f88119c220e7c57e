"""What a process does that holds a key: it leaves no core dump, nobody traces it, and the key comes through a pipe.

A pipe, because arguments and environment of a process can be read by its user's other processes for as long as it
lives. A program that was started with the key in its environment puts it into a pipe and begins again without it.

Not handled: memory. Python cannot wipe a string; a reader of this process's memory, which is root, has the key.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import TYPE_CHECKING

import msgspec
from pydantic import SecretStr

from mmbot.config import ConfigError
from mmbot.venues.port import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["begin_again_without", "credentials_from", "harden", "piped"]

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_PIPE_BYTES_MAX = 4_096


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    secret: str


def harden() -> None:
    """No core dumps, no tracing by other processes of the user, no new privileges. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}): the system does not protect this process")


def piped(key: str, secret: str) -> int:
    """The reading end of a pipe that holds a key, for a process that is about to start. It must be closed after."""
    read, write = os.pipe()
    with os.fdopen(write, "wb") as end:
        end.write(msgspec.json.encode(_Words(key, secret)))
    os.set_inheritable(read, True)
    return read


def credentials_from(descriptor: int) -> Credentials:
    """Read a key from a pipe, once. Raises ConfigError."""
    try:
        with os.fdopen(descriptor, "rb") as end:
            raw = end.read(_PIPE_BYTES_MAX + 1)
        words = msgspec.json.decode(raw, type=_Words)
    except (OSError, msgspec.MsgspecError):  # what was read is never said: it may be half a secret
        raise ConfigError(
            f'descriptor {descriptor}: no key comes from there; expected {{"key": …, "secret": …}}'
        ) from None
    if not (words.key and words.secret):
        raise ConfigError(f"descriptor {descriptor}: key or secret are empty")
    return Credentials(key=words.key, secret=SecretStr(words.secret))


def begin_again_without(secrets: Iterable[str], environ: Mapping[str, str], words: Sequence[str]) -> None:
    """Replace this program by itself, with these words, in an environment without those variables.

    It returns only if none of them is set. The new image has nothing of the old one's memory, so it never held them.
    """
    named = set(secrets)
    if not named & set(environ):
        return
    left = {name: value for name, value in environ.items() if name not in named}
    os.execve(sys.executable, [sys.executable, "-m", "mmbot", *words], left)  # noqa: S606  ourselves, no shell
