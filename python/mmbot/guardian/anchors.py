"""Heads of the journal, kept by the guardian: who holds one can tell that a journal was cut, rewritten or exchanged.

    {"seq":812,"chain":"9f…","time":1764288000000000000,"journal":"20261128T…-paper/journal.mmj","sig":"3b…"}

One JSON object on a line, on disk before the next is taken. `sig` is the Ed25519 signature, in hex, of the line as it
is without it: the same keys in this order, without spaces. The key is made at the first start; its public half lies
beside it, and belongs on another machine, as do the anchors.
"""

from __future__ import annotations

import os
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mmbot.guardian.words import Head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Anchor", "AnchorFault", "AnchorKeeper", "are_gone", "damaged", "read_anchors", "set_aside"]

KEY, PUBLIC = "guardian.key", "guardian.pub"
GONE = "The anchors were not there any more, and their key was.\n"
FILE_BYTES_MAX = 4 << 20
"""Beyond that the file is thinned to the last anchor of each journal when a guardian starts."""


class AnchorFault(ValueError):  # noqa: N818 (a fault of the world)
    """An anchor that cannot be read, or that the guardian's key did not sign. The message names the line."""


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """A head of a journal at a time (ns since epoch), signed."""

    seq: int
    chain: str
    time: int
    journal: str
    sig: str = ""

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        words = {"seq": self.seq, "chain": self.chain, "time": self.time, "journal": self.journal}
        return msgspec.json.encode(words)

    @property
    def head(self) -> Head:
        """What is kept."""
        return Head(journal=self.journal, seq=self.seq, chain=self.chain)


class AnchorKeeper:
    """The anchors of one account, in a file that only grows. One writer."""

    def __init__(self, path: Path) -> None:
        """Open the file and the key beside it, or make them. Raises OSError.

        A file with a line that cannot be read is set aside, for orders have to be watched whatever became of it; what
        is good before that line goes on. The next start of an engine finds it, and freezes until it is gone; so it does
        where the file is not there any more, and a note in its place says so.
        """
        self._path = path
        if are_gone(path):
            _put(_aside(path), GONE.encode(), 0o666)
        elif not path.exists():  # before its key, which says that there was one
            _put(path, b"", 0o600)
        self._key = _key(path.parent)
        self.kept, self.fault = _last_of_each(path, self._key.public_key())
        """The last anchor of each journal, the latest last; and why a file was set aside, or ""."""
        if self.fault:
            set_aside(path)
            _replace(path, self.kept)
        if path.exists() and path.stat().st_size > FILE_BYTES_MAX:
            _replace(path, self.kept)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        _end_line(self._file, path)
        _sync_folder(path.parent)

    def keep(self, head: Head, time: int) -> Anchor:
        """Sign a head and return when it is on disk. Raises OSError."""
        plain = Anchor(seq=head.seq, chain=head.chain, time=time, journal=head.journal)
        anchor = msgspec.structs.replace(plain, sig=self._key.sign(plain.signed).hex())
        line = msgspec.json.encode(anchor) + b"\n"
        size = os.fstat(self._file).st_size
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, size)  # or the next one would end this line
            raise OSError(f"{self._path}: an anchor was written in part, and is taken back; the disk is full")
        os.fdatasync(self._file)
        return anchor

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_anchors(path: Path, public: Ed25519PublicKey | None = None, *, newest: int | None = None) -> Iterator[Anchor]:
    """Read anchors, oldest first, each checked against `public`, or the public key beside the file.

    newest: so many of the last lines, and no others. A last line that was cut off while it was written is passed over.
    Raises OSError, AnchorFault.
    """
    key_bytes = _public(path.parent / PUBLIC) if public is None else public.public_bytes_raw()
    with path.open("rb") as lines:
        for number, line in deque(enumerate(lines, 1), maxlen=newest):
            if not line.endswith(b"\n"):
                return
            try:
                anchor = msgspec.json.decode(line, type=Anchor)
                _verify(key_bytes, bytes.fromhex(anchor.sig), anchor.signed)
            except (msgspec.MsgspecError, ValueError) as error:
                raise AnchorFault(f"{path}:{number}: {error}; expected a signed anchor") from error
            except InvalidSignature as error:
                raise AnchorFault(f"{path}:{number}: the guardian's key did not sign this anchor") from error
            yield anchor


def _public(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text("ascii"))
    except ValueError as error:
        raise AnchorFault(f"{path}: {error}; expected an Ed25519 public key, 64 hex digits") from error


@lru_cache(maxsize=1 << 14)
def _verify(public: bytes, sign: bytes, signed: bytes) -> None:
    """Raise InvalidSignature or ValueError. Remembered where it holds: each start reads the anchors of days."""
    Ed25519PublicKey.from_public_bytes(public).verify(sign, signed)


def _last_of_each(path: Path, public: Ed25519PublicKey) -> tuple[list[Anchor], str]:
    kept: dict[str, Anchor] = {}
    try:
        for anchor in read_anchors(path, public) if path.exists() else ():
            kept.pop(anchor.journal, None)
            kept[anchor.journal] = anchor
    except AnchorFault as fault:
        return list(kept.values()), str(fault)
    return list(kept.values()), ""


def set_aside(path: Path) -> None:
    """Give a damaged file another name, which `damaged` finds. Raises OSError."""
    path.rename(_aside(path))


def _aside(path: Path) -> Path:
    """The next name that `damaged` finds."""
    return path.with_name(f"{path.name}.damaged-{len(damaged(path)) + 1}")


def are_gone(path: Path) -> bool:
    """Whether there is no file, and a key that signed for one."""
    key = path.with_name(KEY)
    return not path.exists() and key.exists() and key.stat().st_size > 0


def damaged(path: Path) -> list[Path]:
    """Files of anchors that were set aside; whoever has looked at one removes it."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*"))


def _key(folder: Path) -> Ed25519PrivateKey:
    """The guardian's key, made where none is; its public half is made again where it is not as it has to be.

    Raises AnchorFault for a file that holds something else.
    """
    path = folder / KEY
    text = path.read_text("ascii", errors="replace").strip() if path.exists() else ""
    if text:
        try:
            key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
        except ValueError as error:
            raise AnchorFault(
                f"{path}: {error}; expected an Ed25519 private key, 64 hex digits. Put it back from a copy, or take it "
                "away with the anchors beside it, which only that key vouches for"
            ) from error
    else:  # none, or one that a power loss left empty: it has signed nothing
        key = Ed25519PrivateKey.generate()
        _put(path, key.private_bytes_raw().hex().encode(), 0o600)
    public = key.public_key().public_bytes_raw().hex()
    beside = folder / PUBLIC
    if not beside.exists() or beside.read_text("ascii", errors="replace").strip() != public:
        _put(beside, public.encode(), 0o644)
    return key


def _put(path: Path, content: bytes, mode: int) -> None:
    """Put a file there whole, or not at all; on the disk when this returns. mode: less what the process lets nobody."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_folder(path.parent)


def _replace(path: Path, anchors: list[Anchor]) -> None:
    _put(path, b"".join(msgspec.json.encode(anchor) + b"\n" for anchor in anchors), 0o666)


def _end_line(file: int, path: Path) -> None:
    """Cut off what a writer that was killed left of its last line."""
    text = path.read_bytes()
    if text and not text.endswith(b"\n"):
        os.truncate(file, text.rfind(b"\n") + 1)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
