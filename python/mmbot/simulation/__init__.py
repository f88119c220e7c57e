"""Deterministic simulation: the code that trades, in a world that breaks, judged by the venue's truth.

world      virtual time, and an event loop for each process
venue      the truth: orders, executions, positions, money
links      how messages travel; ports: what a process has of the venue
faults     what goes wrong, as a plan drawn from a seed
checks     the promises
scene      one seed, played
"""

from mmbot.simulation.scene import Outcome, play

__all__ = ["Outcome", "play"]
