"""What has to be proven before real money trades, and the gate that asks for it: no word of a person opens it.

    mmbot launch prove-cancel-all   cancel-all on our exchange server, healthy and with REST gone   48 h
    mmbot launch prove-alarms       an alarm that a person had to hear of and acknowledge           7 days

Proofs lie in `<session.folder>/proofs`, each a JSON file that says what was done, when, and by which build. The gate
stands at the start of every live run (`mmbot.ops.trade`) and knows nothing of how they are made (`mmbot.ops.proving`).
A proof that is missing, of another build, old, from the future or not to be read is none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mmbot.config import ConfigError
from mmbot.config.session import SessionConfig
from mmbot.ops.account_state import write_durably
from mmbot.ops.findings import Finding
from mmbot.ops.leader.build import build_hash
from mmbot.ops.loose import check_named, loose_controls

if TYPE_CHECKING:
    from pathlib import Path

    from mmbot.config import BacktestConfig

__all__ = [
    "ALARM_ROUTE",
    "CANCEL_ALL",
    "NS_PER_S",
    "check_launch",
    "controls_finding",
    "forget_proof",
    "keep_proof",
    "launch_findings",
]

NS_PER_S: Final = 1_000_000_000
CANCEL_ALL, ALARM_ROUTE = "cancel-all", "alarm-route"
MAX_AGE_S: Final = {CANCEL_ALL: 48 * 3_600, ALARM_ROUTE: 7 * 86_400}
"""How old a proof may be. Cancel-all: hardened within 48 h of a live trade (A-052)."""
COMMANDS: Final = {CANCEL_ALL: "mmbot launch prove-cancel-all", ALARM_ROUTE: "mmbot launch prove-alarms"}


def check_launch(runs: Path, now: int) -> None:
    """Refuse to go live without every proof. runs: the folder of the runs. Raises ConfigError, which names each."""
    missing = [finding for finding in launch_findings(runs, now) if finding.status != "PASS"]
    if missing:
        said = "; ".join(f"{finding.check}: {finding.detail} ({finding.hint})" for finding in missing)
        raise ConfigError(f"live is closed, and no override opens this: {said}")


def launch_findings(runs: Path, now: int) -> list[Finding]:
    """Look at each proof."""
    return [_finding(runs, name, now) for name in MAX_AGE_S]


def controls_finding(config: BacktestConfig) -> Finding:
    """Look at what a configuration switches off. What only venue and account tell is looked at when the run starts."""
    loose = loose_controls(config, config.session or SessionConfig())
    try:
        check_named(config.risk, loose)
    except ConfigError as error:
        return Finding(check="controls", status="FAIL", detail=str(error), hint="docs/controls.md")
    said = "; ".join(f"{key} {why}" for key, why in loose.items()) or "none"
    return Finding(check="controls", status="PASS", detail=f"off on purpose: {said}")


def _finding(runs: Path, name: str, now: int) -> Finding:
    why = ""
    try:
        proof = json.loads(_place(runs, name).read_bytes())
        age_s = (now - int(proof["at"])) / NS_PER_S
        why = _why_not(proof, name, age_s)
    except FileNotFoundError:
        why = "it was never proven here"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"its proof cannot be read: {error!r}"
    if why:
        return Finding(check=name, status="FAIL", detail=why, hint=COMMANDS[name])
    return Finding(check=name, status="PASS", detail=f"proven {age_s / 3_600:.1f} h ago: {proof['said']}")


def _why_not(proof: dict[str, Any], name: str, age_s: float) -> str:
    """Say why a proof does not count; "" where it does."""
    if (proof["version"], proof["what"]) != (1, name):
        return f"its proof is of {proof['what']!r}, version {proof['version']}"
    if proof["build"] != build_hash():
        return f"it was proven for build {proof['build']}, and this is {build_hash()}"
    if not 0 <= age_s <= MAX_AGE_S[name]:
        return f"it was proven {age_s / 3_600:.1f} h ago; expected at most {MAX_AGE_S[name] / 3_600:.0f} h"
    return ""


def _place(runs: Path, name: str) -> Path:
    return runs / "proofs" / f"{name}.json"


def forget_proof(runs: Path, name: str) -> None:
    """Begin to prove: what was proven before counts no more. Raises OSError."""
    _place(runs, name).unlink(missing_ok=True)


def keep_proof(runs: Path, name: str, now: int, said: str, **words: object) -> None:
    """Write down that it is proven now, by this build, and what was seen. Raises OSError."""
    place = _place(runs, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    proof = {"version": 1, "what": name, "at": now, "build": build_hash(), "said": said, **words}
    write_durably(place, json.dumps(proof, indent=1).encode())
