"""What a failover showed: the numbers, what was expected of them, and a report for people and machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmbot.ops.findings import Finding, worst

__all__ = ["Chaos", "write_report"]


@dataclass
class Chaos:
    """One exercise: its events as they happen, its numbers, and what is found in them."""

    where: str
    """On what: "fake", "sentinel", "postgres"."""
    tell: Callable[[str], None]
    settings: dict[str, int]
    numbers: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def say(self, t_ms: int, event: str, **words: object) -> None:
        """Tell one event as a line."""
        self.events.append({"t_ms": t_ms, "event": event, **words})
        self.tell(" ".join(["CHAOS", f"t_ms={t_ms}", f"event={event}", *(f"{k}={v}" for k, v in words.items())]))

    def expect(self, check: str, detail: str, hint: str, *, holds: bool) -> None:
        """Note a finding. hint: where to look when it does not hold."""
        self.findings.append(
            Finding(check=check, status="PASS" if holds else "FAIL", detail=detail, hint="" if holds else hint)
        )

    @property
    def passed(self) -> bool:
        """Whether all that was expected holds, and anything was."""
        return bool(self.findings) and worst(self.findings) == "PASS"

    def conclude(self) -> bool:
        """Tell numbers, what failed, and the result; whether it passed."""
        self.tell(" ".join(["CHAOS_SUMMARY", f"on={self.where}", *(f"{k}={v:g}" for k, v in self.numbers.items())]))
        for finding in self.findings:
            if finding.status != "PASS":
                self.tell(f"CHAOS_FINDING {finding}")
        self.tell(f"CHAOS_RESULT={'OK' if self.passed else 'FAIL'}")
        return self.passed


def write_report(chaos: Chaos, path: Path) -> tuple[Path, Path]:
    """Write Markdown to `path` and the same as JSON beside it; both paths. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    result = "OK" if chaos.passed else "FAIL"
    lines = [f"# Failover on {chaos.where}: {result}", "", "| number | value |", "|---|---|"]
    lines += [f"| {name} | {value:g} |" for name, value in {**chaos.settings, **chaos.numbers}.items()]
    lines += ["", "| found | check | detail | where to look |", "|---|---|---|---|"]
    lines += [f"| {one.status} | {one.check} | {one.detail} | {one.hint or '-'} |" for one in chaos.findings]
    lines += ["", "| ms | event |", "|---|---|"]
    for event in chaos.events:
        told = " ".join(f"{key}={value}" for key, value in event.items() if key != "t_ms")
        lines.append(f"| {event['t_ms']} | {told} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    machine = path.with_suffix(".json")
    words = {
        "chaos_result": result,
        "on": chaos.where,
        "settings": chaos.settings,
        "numbers": chaos.numbers,
        "findings": [
            {"check": one.check, "status": one.status, "detail": one.detail, "hint": one.hint} for one in chaos.findings
        ],
        "events": chaos.events,
    }
    machine.write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")
    return path, machine
