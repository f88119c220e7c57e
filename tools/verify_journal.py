#!/usr/bin/env python3
"""Checks a journal of mmbot without mmbot: reads bytes, and believes nothing that it has not computed itself.

    python tools/verify_journal.py journal.mmj [--anchor COUNT:CHAIN]...

Only Python's own library: CRC-32C and BLAKE3 are written out here, from their specifications, so that a mistake in the
libraries that mmbot uses is not repeated. Slow (some 1,000 entries a second); `mmbot journal verify` is the fast one.
An anchor is the number of entries and the chain value after them, kept elsewhere (`seq` and `chain` of a guardian's
anchors); without one, nobody can tell a journal that was cut short at a whole entry, or written anew. Reads version 2.
Exit code 0: all is well; 1: it is not, and the first bad place is named; 2: it could not be looked at; 3: the end is
torn: a write that was not finished leaves this, and so does somebody who cuts it there.
"""

from __future__ import annotations

import argparse
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

MAGIC, VERSION = b"MMBOTJNL", 2
HEAD, RECORD, PAYLOAD_MAX = 72, 64, 16 << 20
MASK = 0xFFFFFFFF
SECTOR = 512

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
BLOCK, CHUNK = 64, 1024


def _compress(chaining: tuple[int, ...], block: bytes, counter: int, flags: int) -> tuple[int, ...]:
    words = struct.unpack("<16I", block.ljust(BLOCK, b"\0"))
    v = [*chaining, *IV[:4], counter & MASK, counter >> 32, len(block), flags]
    for _ in range(7):
        for (a, b, c, d), x, y in zip(COLUMNS_DIAGONALS, words[::2], words[1::2], strict=True):
            v[a] = (v[a] + v[b] + x) & MASK
            t = v[d] ^ v[a]
            v[d] = (t >> 16 | t << 16) & MASK
            v[c] = (v[c] + v[d]) & MASK
            t = v[b] ^ v[c]
            v[b] = (t >> 12 | t << 20) & MASK
            v[a] = (v[a] + v[b] + y) & MASK
            t = v[d] ^ v[a]
            v[d] = (t >> 8 | t << 24) & MASK
            v[c] = (v[c] + v[d]) & MASK
            t = v[b] ^ v[c]
            v[b] = (t >> 7 | t << 25) & MASK
        words = tuple(words[at] for at in PERMUTATION)
    return tuple(v[at] ^ v[at + 8] for at in range(8))


def _tree(octets: bytes, first: int, root: int) -> tuple[int, ...]:
    """Chaining value of a subtree whose first chunk has that number."""
    if len(octets) <= CHUNK:
        value, blocks = IV, [octets[at : at + BLOCK] for at in range(0, len(octets), BLOCK)] or [b""]
        for at, block in enumerate(blocks):
            last = at == len(blocks) - 1
            flags = (CHUNK_START if at == 0 else 0) | (CHUNK_END | root if last else 0)
            value = _compress(value, block, first, flags)
        return value
    left = CHUNK << ((len(octets) - 1) // CHUNK).bit_length() - 1
    pair = _tree(octets[:left], first, 0) + _tree(octets[left:], first + left // CHUNK, 0)
    return _compress(IV, struct.pack("<16I", *pair), 0, PARENT | root)


def blake3(octets: bytes) -> bytes:
    """BLAKE3 of some bytes, 32 bytes long."""
    return struct.pack("<8I", *_tree(octets, 0, ROOT))


def _crc_row(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    return octet


CRC = [_crc_row(octet) for octet in range(256)]


def crc32c(octets: bytes) -> int:
    """CRC-32C (Castagnoli) of some bytes."""
    crc = MASK
    for octet in octets:
        crc = crc >> 8 ^ CRC[(crc ^ octet) & 255]
    return crc ^ MASK


@dataclass(frozen=True)
class Found:
    """What a journal is worth."""

    entries: int
    """Good entries from the beginning on."""
    chain: str
    """Chain value after them."""
    fault: str = ""
    """Kind of the first thing that is wrong: head, newer, damaged, rewritten or short; "" if nothing is."""
    words: str = ""
    """Where, what was found, and what was expected."""
    torn: tuple[int, int] | None = None
    """(byte in its segment, bytes) of a last record that is not whole."""


class _BadError(Exception):
    pass


def check(octets: bytes, anchors: dict[int, str] | None = None) -> Found:
    """Check the bytes of a journal, its segments one after another, against anchors: entries -> chain value, as hex."""
    return _Check(octets, anchors or {}).run()


class _Check:
    def __init__(self, octets: bytes, anchors: dict[int, str]) -> None:
        self.octets, self.anchors = octets, anchors
        self.at = self.begun = self.entries = self.segment = self.vouched = 0
        self.chain = self.before = bytes(32)

    def run(self) -> Found:
        torn = None
        try:
            self._head(0)
            while torn is None and self.at < len(self.octets):
                torn = self._next()
            most = max(self.anchors, default=0)
            if most > self.entries:
                raise _BadError("short", f"{most} entries were anchored and {self.entries} are here")
        except _BadError as bad:
            kind, words = bad.args
            place = f"entry {self.entries}, segment {self.segment}, byte {self.at - self.begun}"
            return Found(self.entries, self.chain.hex(), kind, f"{place}: {words}")
        return Found(self.entries, self.chain.hex(), torn=torn)

    def _next(self) -> tuple[int, int] | None:
        """Take one head or record in; return the torn end, if it is that."""
        why = self._unsound()
        if why:
            if self._later():
                raise _BadError("damaged", why)
            not_torn = self._why_not_torn()
            if not_torn:
                raise _BadError("damaged", f"{why}, and no unfinished write leaves this: {not_torn}")
            return self.at - self.begun, len(self.octets) - self.at
        if self.octets.startswith(MAGIC, self.at):
            self.segment, self.begun = self.segment + 1, self.at
            self._head(self.segment)
        else:
            self._record()
        return None

    def _unsound(self) -> str:
        """Say why what lies here is not whole, by its length and checksum; "" if it is."""
        rest = len(self.octets) - self.at
        if self.octets.startswith(MAGIC, self.at):
            return "its segment's head is cut off" if rest < HEAD else self._unsound_head()
        if rest < RECORD:
            return "it is cut off"
        length, crc = struct.unpack_from("<II", self.octets, self.at)
        if length > PAYLOAD_MAX:
            return f"its payload has {length} bytes; expected at most {PAYLOAD_MAX}"
        if rest < RECORD + length:
            return "it is cut off"
        found = crc32c(self.octets[self.at + 8 : self.at + RECORD + length])
        return "" if found == crc else f"its checksum is {found:08x}; expected {crc:08x}"

    def _unsound_head(self) -> str:
        head = self.octets[self.at : self.at + HEAD]
        if crc32c(head[:68]) == struct.unpack_from("<I", head, 68)[0] and not any(head[64:68]):
            return ""
        return "its segment's head is damaged"

    def _head(self, segment: int) -> None:
        head = self.octets[self.at : self.at + HEAD]
        if not head.startswith(MAGIC) or len(head) < HEAD:
            raise _BadError("head", "no whole head; expected 72 bytes that begin with MMBOTJNL")
        version, length, number, first = struct.unpack_from("<IIQQ", head, 8)
        if version != VERSION and crc32c(head[:68]) == struct.unpack_from("<I", head, 68)[0]:
            raise _BadError("newer", f"version {version}; this program reads version {VERSION}")
        if self._unsound_head() or length != HEAD:
            raise _BadError("head", "its head is damaged")
        if (number, first, head[32:64]) != (segment, self.entries, self.chain):
            expected = f"segment {segment} from entry {self.entries} on, after {self.chain.hex()}"
            kind = "damaged" if self.at else "head"
            raise _BadError(
                kind, f"segment {number} from entry {first} on, after {head[32:64].hex()}; expected {expected}"
            )
        self.before = blake3(head)
        self.at += HEAD

    def _record(self) -> None:
        length, _, seq, _, _, version, zero = struct.unpack_from("<IIQqHHI", self.octets, self.at)
        record = self.octets[self.at : self.at + RECORD + length]
        if version != VERSION or zero:
            raise _BadError("damaged", f"a record of version {version} and {zero}; expected {VERSION} and 0")
        if seq != self.entries:
            raise _BadError("damaged", f"it says that it is entry {seq}")
        expected = blake3(record[8:32] + self.before + record[RECORD:])
        if record[32:64] != expected:
            raise _BadError("damaged", f"its chain value is {record[32:64].hex()}; expected {expected.hex()}")
        self.chain = self.before = expected
        self.at += len(record)
        self.entries += 1
        anchored = self.anchors.get(self.entries)
        if anchored not in {None, expected.hex()}:
            words = f"its chain value is {expected.hex()}, and {anchored} was anchored"
            raise _BadError(
                "rewritten", f"an entry from {self.vouched} to {seq} was changed and the chain made to fit: {words}"
            )
        if anchored:
            self.vouched = self.entries

    def _why_not_torn(self) -> str:
        """Say why what lies here cannot be left of a write: its beginning, and empty sectors after a power cut."""
        rest, first = self.octets[self.at :], SECTOR - (self.at - self.begun) % SECTOR
        sectors = [rest[:first], *(rest[at : at + SECTOR] for at in range(first, len(rest), SECTOR))]
        if not all(map(any, sectors)):
            return ""
        if rest.startswith(MAGIC) or MAGIC.startswith(rest):
            return "all of the head is here" if len(rest) >= HEAD else ""
        length, crc, seq, _, _, version, zero = struct.unpack("<IIQqHHI", rest[:32].ljust(32, b"\0"))
        cases = (
            (len(rest) >= 4 and length > PAYLOAD_MAX, "no record is so long"),
            (len(rest) >= 16 and seq != self.entries, "it has another number"),
            (len(rest) >= 32 and (version != VERSION or zero), "it has another version"),
            (len(rest) < RECORD, ""),
            (length <= len(rest) - RECORD, "all of the record is here"),
            (crc32c(rest[8:]) == crc, "all of the record is here, and its length was changed"),
        )
        return next((why for holds, why in cases if holds), "")

    def _later(self) -> bool:
        """Say whether anywhere behind what is not whole a later record is: then it is damage, and no torn end."""
        rest = self.octets[self.at :]
        for at in range(1, len(rest) - RECORD + 1):
            length, crc, seq, _, _, version, zero = struct.unpack_from("<IIQqHHI", rest, at)
            if zero or version != VERSION or seq <= self.entries:
                continue
            if length <= len(rest) - at - RECORD and crc32c(rest[at + 8 : at + RECORD + length]) == crc:
                return True
        return False


def segments(base: Path) -> list[Path]:
    """The files of a journal: journal.mmj, journal.1.mmj, and on; a missing number is found by the heads."""
    beside = [(path.name[len(base.stem) + 1 : -len(base.suffix)], path) for path in base.parent.glob(f"{base.stem}.*")]
    return [base, *(path for _, path in sorted((int(word), path) for word, path in beside if word.isdecimal()))]


def main() -> int:
    """Check one journal, say what it is worth, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check a journal of mmbot without mmbot.")
    parser.add_argument("journal", type=Path, help="the first file of the journal")
    parser.add_argument(
        "--anchor", action="append", default=[], type=_anchor, metavar="COUNT:CHAIN", help="entries, chain value"
    )
    asked = parser.parse_args()
    try:
        octets = b"".join(path.read_bytes() for path in segments(asked.journal))
    except OSError as error:
        sys.stderr.write(f"{asked.journal}: {error.strerror}; expected the first file of a journal\n")
        return 2
    found = check(octets, dict(asked.anchor))
    sys.stdout.write(f"{found.entries} good entries, chain {found.chain}\n")
    if found.fault:
        sys.stdout.write(f"{found.fault}: {found.words}\n")
    elif found.torn:
        sys.stdout.write(f"not proven: the end is torn at byte {found.torn[0]}, {found.torn[1]} bytes\n")
    else:
        sys.stdout.write("whole\n" if asked.anchor else "whole, as far as can be told without an anchor\n")
    return 1 if found.fault else 3 if found.torn else 0


def _anchor(text: str) -> tuple[int, str]:
    """Read COUNT:CHAIN. Raises argparse.ArgumentTypeError."""
    count, _, chain = text.partition(":")
    if not (count.isascii() and count.isdecimal() and len(chain) == 64 and set(chain) <= set("0123456789abcdef")):
        raise argparse.ArgumentTypeError(f"{text!r} is no anchor; expected 812:9f… with 64 lower-case hex digits")
    return int(count), chain


if __name__ == "__main__":
    sys.exit(main())
