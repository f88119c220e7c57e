"""The workflows: pinned, bounded, without rights they do not need, and with no key where a stranger's code runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mmbot.cli import app

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
STRANGERS = {"pull_request", "pull_request_target", "issue_comment", "workflow_run"}


def loaded(path: Path) -> dict[str, Any]:
    """Read a workflow; YAML takes the key `on` for a truth value."""
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in told.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    """Every step of every job."""
    return [step for job in loaded(path)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows():
    """A moved directory would make every rule here pass on nothing."""
    assert [path.name for path in WORKFLOWS] == ["testnet-smoke.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_pinned_bounded_and_may_only_read(path: Path):
    """Actions by digest with the version beside it, a time limit for each job, and no right but to read the code."""
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert not job["runs-on"].endswith("latest"), "say which system: latest moves"
    for step in steps(path):
        assert len({"uses", "run"} & set(step)) == 1
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), f"pin {step['uses']} by its digest"
            assert re.search(re.escape(step["uses"]) + r" # v\d", path.read_text(encoding="utf-8"))
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_key_is_a_testnet_key_and_only_its_step_sees_it(path: Path):
    """Secrets come from a protected environment into one step's variables, never into a command or a stranger's run."""
    workflow, text = loaded(path), path.read_text(encoding="utf-8")
    secrets = re.findall(r"secrets\.(\w+)", text)
    assert secrets
    assert all("TESTNET" in name for name in secrets)
    assert "mainnet" not in re.sub(r"^#.*", "", text, flags=re.MULTILINE)
    assert not STRANGERS & set(workflow["on"])
    given = 0
    for job in workflow["jobs"].values():
        assert "env" not in job
        for step in job["steps"]:
            assert "secrets." not in step.get("run", "") + str(step.get("with", ""))
            used = str(step.get("env", "")).count("secrets.")
            given += used
            assert not used or ("run" in step and job["environment"] == "testnet")
    assert given == len(secrets)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_calls_exists(path: Path):
    """Its `make` targets are in the Makefile, its `mmbot` commands and options on the command line."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = typer.main.get_command(app).commands
    for step in steps(path):
        match step.get("run", "").split():
            case ["make", target]:
                assert target in targets
            case [".venv/bin/mmbot", command, *words]:
                known = {option for parameter in commands[command].params for option in parameter.opts}
                assert {word for word in words if word.startswith("--")} <= known
            case other:
                assert not other, f"{step['run']!r} is neither a make target nor a command of ours"
