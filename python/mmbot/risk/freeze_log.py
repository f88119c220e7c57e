"""The freeze board as a log: one line for each input that changed it, which anybody may append to without a lock.

    {"sum": "<16 hex>", "said": {"asked": {"level": "CANCEL_ALL", "scope": […], …}}}

`sum` is over `said`, so a line that was cut or changed is seen; it counts as a CANCEL_ALL of the firm, not as nothing.
`head` chains the bytes of all lines: whoever signs a lowering signs what the log said then.

A log that is shorter than it was, or another, is what `mmbot.risk.freeze_memory` is for.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, get_args

from mmbot.risk.freeze import FreezeInput, Lowering
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope, ScopeKind
from mmbot.risk.override import Override, Reconciled, Signature

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "asked_from",
    "asked_words",
    "canonical",
    "checksum",
    "encode",
    "head_of",
    "override_from",
    "override_words",
    "read",
]


def encode(said: FreezeInput) -> bytes:
    """One input as a line, its end included."""
    match said:
        case FreezeAsked():
            words: dict[str, Any] = {"asked": asked_words(said)}
        case Lowering():
            words = {
                "lowered": {
                    "override": override_words(said.override),
                    "ts": said.ts,
                    "reconciled": [said.reconciled.clean, said.reconciled.ts, said.reconciled.said],
                }
            }
    text = canonical(words)
    return f'{{"sum":"{checksum(text)}","said":{text}}}\n'.encode()


def asked_words(asked: FreezeAsked) -> dict[str, Any]:
    """A freeze that was asked for, for a file."""
    return {
        "level": asked.level.name,
        "scope": [asked.scope.kind, asked.scope.name],
        "control": asked.control,
        "reason": asked.reason,
        "ts": asked.ts,
        **({"worst": asked.worst.name} if asked.worst else {}),
    }


def asked_from(words: Any) -> FreezeAsked:  # noqa: ANN401  whatever JSON holds
    """Read back what `asked_words` made. Raises ValueError, KeyError or TypeError for anything else."""
    level, scope = FreezeLevel[words["level"]], _scope(words["scope"])
    worst = FreezeLevel[words.get("worst", "NORMAL")]
    return FreezeAsked(level, scope, _text(words["control"]), _text(words["reason"]), _whole(words["ts"]), worst)


def read(raw: bytes) -> tuple[list[FreezeInput], str]:
    """Return what a log says, and its head."""
    inputs: list[FreezeInput] = []
    head, ts = "", 0
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line:
            continue
        try:
            said = _line(line, head)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why = f"line {number} of the freeze log cannot be read ({type(error).__name__}: {error})"
            said = FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "latch", why, ts)
        ts = said.ts
        inputs.append(said)
        head = _chained(head, line)
    return inputs, head


def head_of(lines: Iterable[bytes]) -> str:
    """Head of a log of these lines, without their ends."""
    head = ""
    for line in lines:
        head = _chained(head, line)
    return head


def _chained(head: str, line: bytes) -> str:
    return sha256(head.encode() + b"\n" + line).hexdigest()


def canonical(words: object) -> str:
    """The one text of some words, as it is summed."""
    return json.dumps(words, sort_keys=True, separators=(",", ":"))


def checksum(text: str) -> str:
    """What tells a line that was cut or changed from one that was not."""
    return sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=4_096)
def _line(line: bytes, head: str) -> FreezeInput:
    """Remembered, because a log is read whole whenever it grew. Raises what a line that is none makes."""
    return _decode(json.loads(line), head)


def _decode(line: Any, head: str) -> FreezeInput:  # noqa: ANN401  whatever JSON holds
    said = line["said"]
    if line["sum"] != checksum(canonical(said)):
        raise ValueError("its checksum is not of what it says")
    [(kind, words)] = said.items()
    if kind == "asked":
        return asked_from(words)
    if kind == "lowered":
        clean, ts, what = words["reconciled"]
        return Lowering(
            override=override_from(words["override"]),
            ts=_whole(words["ts"]),
            reconciled=Reconciled(clean is True, _whole(ts), _text(what)),
            head=head,
        )
    raise ValueError(f"{kind!r} is not known here; expected asked or lowered")


def override_words(override: Override) -> dict[str, Any]:
    """An override and its signatures, for a file."""
    claims = json.loads(override.canonical())
    return {**claims, "signatures": [[one.key.hex(), one.signature.hex()] for one in override.signatures]}


def override_from(words: Any) -> Override:  # noqa: ANN401  as above
    """Read back what `override_words` made. Raises ValueError, KeyError or TypeError for anything else."""
    return Override(
        freeze_id=_text(words["freeze_id"]),
        from_level=FreezeLevel[words["from"]],
        to=FreezeLevel[words["to"]],
        scope=_scope([words["scope"]["kind"], words["scope"]["name"]]),
        reason=_text(words["reason"]),
        expiry=_whole(words["expiry"]),
        nonce=_text(words["nonce"]),
        head_hash=_text(words["head_hash"]),
        signatures=tuple(
            Signature(bytes.fromhex(key), bytes.fromhex(signature)) for key, signature in words["signatures"]
        ),
    )


def _scope(words: Any) -> Scope:  # noqa: ANN401  as above
    kind, name = words
    known: dict[str, ScopeKind] = {one: one for one in get_args(ScopeKind)}
    if kind not in known:
        raise ValueError(f"scope {kind!r}; expected one of {', '.join(known)}")
    return Scope(known[kind], _text(name))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value
