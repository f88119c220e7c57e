"""Where a run leaves what it did."""

from concurrent.futures import ThreadPoolExecutor

from mmbot.runtime.folder import RunFolder


def test_no_two_runs_share_a_second(tmp_path):
    """Runs that start together get folders and starts of their own, so names of orders made of them are unique."""
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: RunFolder.create(tmp_path / "runs", "paper", 1_700_000_000), range(8)))
    assert len({folder.epoch_s for folder in folders}) == len({folder.path for folder in folders}) == 8
    assert {folder.path.name for folder in folders} >= {"20231114T221320Z-paper", "20231114T221327Z-paper"}
    assert all((folder.path / "tapes").is_dir() for folder in folders)


def test_a_second_is_one_run_s_whatever_its_mode(tmp_path):
    """A live run does not share its second with a paper run."""
    paper, live = (RunFolder.create(tmp_path, mode, 1_700_000_000) for mode in ("paper", "live"))
    assert live.epoch_s == paper.epoch_s + 1
