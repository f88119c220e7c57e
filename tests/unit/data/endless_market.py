"""A market without end, message by message; run as a program, a writer that waits to be killed."""

import sys

from mmbot._core import Instrument, LiveTape, TapeWriter

#: The writer says how many messages are committed after each so many.
STEP = 7


def instrument() -> Instrument:
    """A made-up perpetual."""
    return Instrument(venue="v", symbol="S", kind="linear", tick="0.1", lot="0.001")


def append(tape: LiveTape | TapeWriter, at: int) -> None:
    """Message number `at`: book messages, and every hundredth a trade that happened a little before it was heard."""
    if at % 100 == 50:
        tape.trade(at, at - at % 3, f"{100 + at % 7}.5", "0.002", "buy" if at % 200 == 50 else "sell")
        return
    levels = [(f"{90 + (at + k) % 9}.{k}", f"0.00{(at + k) % 5}") for k in range(4)]
    tape.depth(at, at, "delta" if at else "snapshot", levels, [("120.0", "1")])


def main() -> None:
    """Writes into the directory it is given, and settles trades now and then."""
    live, at = LiveTape(sys.argv[1], instrument()), 0
    while True:
        append(live, at)
        at += 1
        if at % STEP == 0:
            sys.stdout.write(f"{at}\n")
            sys.stdout.flush()
        if at % 1_000 == 0:
            live.settle(at - 100)


if __name__ == "__main__":
    main()
