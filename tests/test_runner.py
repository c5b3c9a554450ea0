"""Running a study: exactly what is missing, with the same numbers however it is run or disturbed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from studies import numbers, tiny, unlucky

from ferray import atomic, training
from ferray.data import Dataset, Split
from ferray.errors import ConfigError, LedgerError, ResourceError
from ferray.ledger import Ledger
from ferray.ledger.writer import LedgerWriter
from ferray.running.runner import run
from ferray.running.study_record import save
from ferray.study import Study

PATIENCE = 200
"""Seconds that a driver may take on a machine with other work; a tenth of it is usual."""
LONG = 3 * PATIENCE
"""For a test that waits for a driver up to three times."""
STUDY = tiny()
STUDY_OF_12 = tiny(base={**STUDY.base, "epochs": 12})
DRIVER = """
import sys
from studies import tiny
from ferray.running.runner import run
outcome = run(tiny(base={**tiny().base, "epochs": int(sys.argv[2])}), sys.argv[1], local=sys.argv[3] == "local")
print("TRAINED", outcome.trained, outcome.statuses, flush=True)
sys.exit(130 if outcome.interrupted else 0)
"""


def silent(line: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    storage = tmp_path_factory.mktemp("undisturbed")
    outcome = run(STUDY, storage, local=True, say=silent)
    assert (outcome.trained, outcome.statuses) == (4, {"finished": 4})
    return Ledger(storage)


def start(storage: Path, *, epochs: int = 2, how: str = "local") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(storage), str(epochs), how],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip


def under_way(storage: Path, *, epochs: int, how: str) -> subprocess.Popen[str]:
    """A driver of which a trial has its first epoch in the ledger."""
    driver, ledger = start(storage, epochs=epochs, how=how), Ledger(storage)
    wait_for(lambda: any(ledger.epochs(key) for key in ledger.keys()))
    return driver


def ended_cleanly(driver: subprocess.Popen[str]) -> str:
    """What a driver that was asked to end has printed by then."""
    output = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 130, output
    assert "Traceback" not in output
    return output


def wait_for(condition: Any, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_finished_study_trains_nothing_again(undisturbed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "fit", None)
    said: list[str] = []
    outcome = run(STUDY, undisturbed.path, say=said.append)
    assert (outcome.trained, outcome.statuses) == (0, {"finished": 4})
    assert said == ["study tiny: 4 trials planned, 4 in the ledger, 0 to run"]


def test_an_edited_study_runs_only_what_is_new(undisturbed: Ledger) -> None:
    larger = tiny(name="larger", seeds=3, variants={"wider": {"width": 0.1}})
    outcome = run(larger, undisturbed.path, local=True, say=silent)
    assert (outcome.trained, outcome.statuses) == (2 + 3, {"finished": 9})
    assert undisturbed.studies() == ["larger", "tiny"]


def test_a_search_runs_every_point_of_the_grid_at_every_draw(tmp_path: Path) -> None:
    search = {"width": {"grid_search": [0.05, 0.1]}, "l2": {"loguniform": [1e-6, 1e-3]}}
    study = tiny(ablate=None, seeds=1, num_samples=2, search=search, base={**STUDY.base, "epochs": 1})
    assert run(study, tmp_path, local=True, say=silent).statuses == {"finished": 4}
    ledger = Ledger(tmp_path)
    configs = [ledger.trial(key)["config"] for key in ledger.keys()]
    assert sorted(config["width"] for config in configs) == [0.05, 0.05, 0.1, 0.1]
    assert len({config["l2"] for config in configs}) == 2
    more = tiny(ablate=None, seeds=1, num_samples=3, search=search, base={**STUDY.base, "epochs": 1})
    assert run(more, tmp_path, local=True, say=silent).trained == 2


@pytest.mark.slow
@pytest.mark.timeout(LONG)
def test_on_ray_the_numbers_are_those_of_this_process(undisturbed: Ledger, tmp_path: Path) -> None:
    said: list[str] = []
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    outcome = run(STUDY, tmp_path, say=said.append)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == handlers
    assert (outcome.trained, outcome.statuses, outcome.interrupted) == (4, {"finished": 4}, False)
    there = numbers(undisturbed)
    assert numbers(Ledger(tmp_path)) == {trial.key: there[trial.key] for trial in STUDY.plan()}
    assert sum("epoch 2/2" in line for line in said) == 4
    assert list(Ledger(tmp_path).tune_folder.rglob("events.out.tfevents*")), "TensorBoard shows the runs"


@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("how", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_killed_driver_goes_on_where_it_was_with_the_same_numbers(tmp_path: Path, how: str) -> None:
    ledger = Ledger(tmp_path / "disturbed")
    driver = start(ledger.path, epochs=12, how=how)
    wait_for(lambda: any(len(ledger.epochs(key)) >= 5 and ledger.checkpoint_file(key).exists() for key in ledger.keys()))
    driver.kill()
    driver.wait()
    begun = {key: len(ledger.epochs(key)) for key in ledger.keys()}
    assert 0 < sum(begun.values()) < 4 * 12
    again = start(ledger.path, epochs=12, how=how)
    output = again.communicate(timeout=PATIENCE)[0]
    assert "{'finished': 4}" in output, output
    if how == "local":
        half = next(key for key, epochs in begun.items() if 5 <= epochs < 12)
        label = next(trial.label for trial in STUDY_OF_12.plan() if trial.key == half)
        repeated = [line for line in output.splitlines() if line.startswith(f"{label}: epoch 1/12")]
        assert not repeated, "the half-trained trial does not begin anew"
    run(STUDY_OF_12, tmp_path / "undisturbed", local=True, say=silent)
    assert numbers(ledger) == numbers(Ledger(tmp_path / "undisturbed"))


@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("how", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(tmp_path: Path, how: str) -> None:
    driver = under_way(tmp_path, epochs=12, how=how)
    os.kill(driver.pid, signal.SIGINT)
    ended_cleanly(driver)
    assert "{'finished': 4}" in start(tmp_path, epochs=12, how=how).communicate(timeout=PATIENCE)[0]


@pytest.mark.timeout(LONG)
def test_two_drivers_on_one_ledger_share_the_work(undisturbed: Ledger, tmp_path: Path) -> None:
    drivers = [start(tmp_path) for _ in range(2)]
    outputs = [driver.communicate(timeout=PATIENCE)[0] for driver in drivers]
    assert all("{'finished': 4}" in output for output in outputs), outputs
    ledger = Ledger(tmp_path)
    there = numbers(undisturbed)
    assert numbers(ledger) == {trial.key: there[trial.key] for trial in STUDY.plan()}
    assert [ledger.record(key)["attempts"] for key in ledger.keys()] == [1] * 4  # type: ignore[index]


def test_a_failing_trial_leaves_the_others_alone_and_is_retried_when_asked(tmp_path: Path) -> None:
    with unlucky(seed=1):
        assert run(STUDY, tmp_path, local=True, say=silent).statuses == {"finished": 2, "failed": 2}
    assert run(STUDY, tmp_path, local=True, say=silent).trained == 0
    outcome = run(STUDY, tmp_path, local=True, retry_failed=True, say=silent)
    assert (outcome.trained, outcome.statuses) == (2, {"finished": 4})


def test_a_damaged_record_is_named_set_aside_and_run_again(undisturbed: Ledger) -> None:
    before = numbers(undisturbed)
    key = STUDY.plan()[0].key
    undisturbed.predictions_file(key).write_bytes(b"rot")
    said: list[str] = []
    outcome = run(STUDY, undisturbed.path, local=True, say=said.append)
    assert (outcome.trained, outcome.statuses) == (1, {"finished": 4})
    assert "the record of baseline seed 0 is damaged" in said[0]
    assert numbers(undisturbed) == before


@pytest.mark.slow
@pytest.mark.timeout(LONG)
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, and would not be pretended")
def test_each_trial_has_the_gpu_that_ray_gives_it(tmp_path: Path) -> None:
    """The GPUs are pretended, so that trials fail over them; where they were placed is in their records."""
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
    try:
        outcome = run(tiny(gpus=1.0, pack="off", ablate=None, seeds=4, base={"epochs": 1}), tmp_path, say=silent)
    finally:
        ray.shutdown()
    assert outcome.statuses == {"failed": 4}
    ledger = Ledger(tmp_path)
    records = [ledger.record(key) or {} for key in ledger.keys()]
    assert {record["environment"]["visible_gpus"] for record in records} == {"0", "1"}
    assert all("finds no CUDA GPU" in record["error"]["message"] for record in records)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpus": 1.0}, "each trial asks for 1 GPU (`gpus` in the study), and this machine has none that torch finds; leave `gpus` out"),
        ({"cpus": 1000.0}, "each trial asks for 1000 processors, and this machine has"),
        ({"base": {"threads": 1000}, "ablate": None}, "as many as its `threads`: write base.threads:"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_what_this_machine_lacks_is_told_with_what_to_write_instead(
    asked: dict[str, Any], message: str, local: bool, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError) as raised:
        run(tiny(**asked), tmp_path / "storage", local=local, say=silent)
    assert message in str(raised.value)
    assert not (tmp_path / "storage").exists(), "a study that is refused leaves nothing"


def test_a_study_whose_code_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.py").write_text("from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))\n")
    monkeypatch.chdir(tmp_path)
    study = Study(name="small", data=STUDY.data, base={"model": "./small.py:build", "epochs": 1})
    with pytest.raises(ConfigError, match=r"variant 'baseline': model: ./small\.py:build: must return"):
        run(study, tmp_path / "storage", local=True, say=silent)
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001"])
def test_a_study_for_which_no_cluster_answers_leaves_nothing(tmp_path: Path, address: str) -> None:
    with pytest.raises(ResourceError):
        run(STUDY, tmp_path / "storage", address=address, say=silent)
    assert not (tmp_path / "storage").exists()


def test_storage_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="must be a folder"):
        run(STUDY, tmp_path / "file", say=silent)
    with pytest.raises(LedgerError, match="cannot write"):
        run(STUDY, tmp_path / "file" / "below", say=silent)
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "tune").touch()
    with pytest.raises(LedgerError, match=r"cannot write .*tiny\.log"):
        run(STUDY, tmp_path / "storage", say=silent)


def test_a_disk_that_fills_up_is_told_and_the_study_goes_on_when_there_is_space(
    undisturbed: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = atomic.write
    records = []

    def full(file: Path, content: bytes) -> None:
        if len(records) == 2 and "trials" in file.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, content)
        records.extend([file] if file.name == "record.json" else [])

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write", full)
        with pytest.raises(LedgerError, match="No space left on device; what has ended is kept, and the same command goes on"):
            run(STUDY, tmp_path, local=True, say=silent)
    outcome = run(STUDY, tmp_path, local=True, say=silent)
    assert (outcome.trained, outcome.statuses) == (2, {"finished": 4})
    there = numbers(undisturbed)
    assert numbers(Ledger(tmp_path)) == {trial.key: there[trial.key] for trial in STUDY.plan()}


@pytest.mark.long
@pytest.mark.timeout(LONG)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a small disk")
def test_a_disk_that_fills_up_under_ray_ends_the_run_with_one_clear_error(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(tmp_path)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        with pytest.raises(LedgerError, match="No space left on device"):
            run(tiny(base={**STUDY.base, "width": 0.3, "epochs": 20}, seeds=4), tmp_path, say=silent)
        subprocess.run(["mount", "-o", "remount,size=200m", str(tmp_path)], check=True)
        (tmp_path / "written").write_text("there is space again")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("how", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_sigterm_ends_as_cleanly_as_ctrl_c(tmp_path: Path, how: str) -> None:
    driver = under_way(tmp_path, epochs=60, how=how)
    driver.terminate()
    assert "interrupted: what has ended is kept" in ended_cleanly(driver)


@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("how", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_ctrl_c_again_and_again_harms_nothing(tmp_path: Path, how: str) -> None:
    driver = under_way(tmp_path, epochs=12, how=how)
    for _ in range(5):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.1)
    driver.communicate(timeout=PATIENCE)
    assert driver.returncode != 0
    ledger = Ledger(tmp_path)
    assert all(ledger.status(key, verify=True) in ("finished", "interrupted") for key in ledger.keys())
    assert "{'finished': 4}" in start(tmp_path, epochs=12).communicate(timeout=PATIENCE)[0]


@pytest.mark.slow
@pytest.mark.timeout(LONG)
def test_what_trials_print_is_found_in_the_file_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talkative.py").write_text(
        "import sys, warnings\n"
        "from torch import nn\n"
        "def build(num_classes):\n"
        "    print('a print of the network')\n"
        "    warnings.warn('a warning of the network')\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    study = Study(name="talk", data=STUDY.data, base={"model": "./talkative.py:build", "epochs": 1})
    run(study, tmp_path / "storage", say=said.append)
    named = next(line for line in said if line.startswith("what Ray and the trials print goes to "))
    log = Path(named.rpartition(" ")[2]).read_text()
    assert "a print of the network" in log
    assert "a warning of the network" in log
    assert not any("of the network" in line for line in said)


def test_the_ledger_keeps_thumbnails_votes_and_test_images_without_labels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def split(count: int, label: int | None = None) -> Split:
        labels = np.arange(count) % 2 if label is None else np.full(count, label)
        images = generator.integers(0, 256, (count, 3, 100, 100), np.uint8)
        return Split(images, labels.astype(np.int64), np.ones((count, 2), np.float32))

    for test, count in ((split(4, -1), 4), (split(0), 0)):
        data = Dataset.build("made", ("a", "b"), {"train": split(4), "validation": split(6), "test": test}, synthetic=True)
        save(LedgerWriter(tmp_path), STUDY, STUDY.plan(data), data, None)
        with np.load(Ledger(tmp_path).data_folder(data.fingerprint) / "evaluation.npz") as arrays:
            assert arrays["validation_images"].shape == (6, 3, 50, 50)
            assert arrays["validation_votes"].shape == (6, 2)
            assert arrays["test_labels"].tolist() == [-1] * count
            assert len(arrays["test_images"]) == len(arrays["test_votes"]) == count
        assert Ledger(tmp_path).study("tiny")["data"]["missing"] == data.missing != {}
