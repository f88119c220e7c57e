"""What engine and guardian say to each other: one JSON object on a line, over a unix socket.

    engine                    guardian
    Hello          ──▶
                   ◀──        Welcome, or Turned away
    Beat           ──▶                            every 250 ms
                   ◀──        GuardianBeat        every 250 ms
    Goodbye        ──▶                            nothing of ours is left; the watch ends

Positions are decimal text in the venue's units, by "category symbol"; times and ages are nanoseconds.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

__all__ = [
    "LINE_BYTES_MAX",
    "PROTOCOL",
    "Beat",
    "Goodbye",
    "GuardianBeat",
    "Head",
    "Hello",
    "TurnedAway",
    "Unreadable",
    "Welcome",
    "decode",
    "encode",
]

PROTOCOL = 1
"""Both sides must speak the same."""
LINE_BYTES_MAX = 1 << 16


class Unreadable(ValueError):  # noqa: N818 (a fault of the other side)
    """A line that is none of the messages. The message says why."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How far a journal goes: its name, entries, and the hash of the chain up to the last of them."""

    journal: str
    seq: int
    chain: str


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """An engine begins, or comes back after its connection was lost. `epoch` rises with every start."""

    protocol: int
    environment: str
    account: str
    epoch: int
    journal: str


class Beat(msgspec.Struct, frozen=True, kw_only=True, tag="beat"):
    """The engine lives, and this is what it believes."""

    seq: int
    """Counts the beats of one engine."""
    epoch: int
    head: Head
    positions: dict[str, str]
    open_orders: int
    """The most that may have been open at the venue at once since the last beat."""
    ready: bool
    """Its books were compared with the venue's and it may trade; before that nobody holds it to them."""
    linked: bool
    """It hears its account and can order."""
    level: Annotated[int, msgspec.Meta(ge=0, le=5)]
    """How far it is frozen (`FreezeLevel`)."""
    lag_ns: int
    """The most by which its loop was late since the last beat."""
    unanswered_ns: int
    """How long its oldest request is without an answer."""
    unheard_ns: int
    """How long its oldest request waits while nothing at all came from the venue; 0 if something did."""


class Goodbye(msgspec.Struct, frozen=True, kw_only=True, tag="goodbye"):
    """The run is over. `left`: the venue said that no order of ours is there."""

    left: bool
    why: str


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The engine is watched from now on. `anchor`: the last head that was kept of any journal of the account."""

    protocol: int
    pid: int
    anchor: Head | None


class TurnedAway(msgspec.Struct, frozen=True, kw_only=True, tag="turned_away"):
    """The engine is not watched, and must not trade."""

    why: str


class GuardianBeat(msgspec.Struct, frozen=True, kw_only=True, tag="guardian_beat"):
    """The guardian lives."""

    heard: int
    """The last beat of the engine that it heard."""
    acting: bool
    """It cancels everything, and goes on until a person, or an engine with a higher epoch, takes over."""
    why: str
    distrusts: bool = True
    """While acting: because of the engine, not only beside it because of a freeze."""
    zero: bool
    """While acting: the venue said twice that nothing is open, after everything sent had to have arrived."""
    blind_ns: int
    """For how long it has had no answer from the venue."""
    given_up: int = 0
    """How often it gave an engine up: one more is a new reason to stop, also where the last one was not over."""


Message: TypeAlias = Hello | Beat | Goodbye | Welcome | TurnedAway | GuardianBeat

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """A message as a line."""
    return _encoder.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Read a line. Raises Unreadable."""
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable(f"{error}; expected one of the messages of protocol {PROTOCOL}: {line[:80]!r}") from error


FromEngine: TypeAlias = Beat | Goodbye
FromGuardian: TypeAlias = Welcome | TurnedAway | GuardianBeat
State: TypeAlias = Literal["waiting", "watching", "acting", "over"]
