"""Raw frames on disk: JSON lines, as `mmbot data import --from bybit` reads them, in zstd frames of their own.

NAME.jsonl.zst.partial     ┌ zstd frame ┐┌ zstd frame ┐┌ zstd fr        a killed writer: cut after the last whole one
NAME.jsonl.zst             ┌ zstd frame ┐┌ zstd frame ┐                 named when it is complete and durable

{"t":"http","conn":…,"ts":…,"url":…,"data":…}        an answer that readers need: the instruments' terms
{"t":"connect","conn":…,"ts":…,"addr":…}             what a connection carries
{"t":"recv","conn":…,"ts":…,"data":…}                one frame; `ts` in seconds, exact to the nanosecond
"""

import os
from functools import lru_cache
from pathlib import Path

import msgspec
import zstandard

__all__ = ["PARTIAL", "RawFile", "answered", "connected", "mend", "noted", "received"]

PARTIAL = ".partial"
_LEVEL = 3
_PIECE = 1 << 20
_encode = msgspec.json.Encoder().encode


def _seconds(ts: int) -> bytes:
    return b"%d.%09d" % divmod(ts, 1_000_000_000)


@lru_cache(maxsize=1024)
def _opening(t: str, conn: str) -> bytes:
    return b'{"t":%b,"conn":%b,"ts":' % (_encode(t), _encode(conn))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:  # a malformed frame is kept too, with its bytes escaped
        return raw.decode(errors="backslashreplace")


def received(conn: str, ts: int, raw: bytes) -> bytes:
    """The line of one frame."""
    return b'%b%b,"data":%b}\n' % (_opening("recv", conn), _seconds(ts), _encode(_text(raw)))


def connected(conn: str, ts: int, address: str) -> bytes:
    """The line that says where a connection leads."""
    return b'%b%b,"addr":%b}\n' % (_opening("connect", conn), _seconds(ts), _encode(address))


def answered(conn: str, ts: int, url: str, data: bytes) -> bytes:
    """The line of an answer over HTTP."""
    fields = _encode(url), _encode(_text(data))
    return b'%b%b,"url":%b,"data":%b}\n' % (_opening("http", conn), _seconds(ts), *fields)


def noted(t: str, conn: str, ts: int, **fields: str | int) -> bytes:
    """A line of the recorder's own."""
    return b"%b%b,%b\n" % (_opening(t, conn), _seconds(ts), _encode(fields)[1:])


class RawFile:
    """A raw recording in the making. It has its name, and a reader, only when it is finished."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it can not be made."""
        self.path = path
        self.bytes = 0
        """Whole zstd frames written."""
        self._partial = path.with_name(path.name + PARTIAL)
        self._file = self._partial.open("xb", buffering=0)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)

    def write(self, lines: bytes | bytearray) -> None:
        """Append lines as one zstd frame. Raises OSError, and the file is then as it was before."""
        frame = memoryview(self._compressor.compress(lines))
        written = 0
        try:
            while written < len(frame):
                written += self._file.write(frame[written:]) or 0
        except OSError:
            os.ftruncate(self._file.fileno(), self.bytes)
            self._file.seek(self.bytes)
            raise
        self.bytes += written

    def sync(self) -> None:
        """Make durable what was written. Raises OSError."""
        os.fdatasync(self._file.fileno())

    def finish(self) -> None:
        """Give it its name, durably. Raises OSError."""
        os.fsync(self._file.fileno())
        self._file.close()
        _name(self._partial, self.path)


def _name(partial: Path, path: Path) -> None:
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def mend(partial: Path) -> tuple[Path | None, int]:
    """Cut a killed writer's file after its last whole zstd frame, and name it; without a whole frame, remove it.

    Returns the file (None if nothing is left) and how many bytes were cut. Raises OSError.
    """
    whole, size = _whole_frames(partial), partial.stat().st_size
    if whole == 0:
        partial.unlink()
        return None, size
    with partial.open("r+b") as file:
        file.truncate(whole)
        os.fsync(file.fileno())
    path = partial.with_name(partial.name.removesuffix(PARTIAL))
    _name(partial, path)
    return path, size - whole


def _whole_frames(path: Path) -> int:
    """Bytes up to the end of the last frame that can be read and has the right checksum."""
    whole = read = 0
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            read += len(piece)
            while piece:
                try:
                    frame.decompress(piece)
                except zstandard.ZstdError:
                    return whole
                piece = frame.unused_data
                if frame.eof:
                    whole, frame = read - len(piece), decompressor.decompressobj()
    return whole
