"""Writing the ledger: atomic, resumable, one writer per trial, and no record lost to a fault."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from ferray.errors import LedgerError
from ferray.ledger import Ledger, attempts
from ferray.ledger import writer as writer_module
from ferray.ledger.writer import LedgerWriter, StaleAttemptError

KEY = "0" * 32
SUMMARY = {"status": "finished", "selected_epoch": 1, "parameters": 7, "environment": {}, "error": None}
FAILED = {**SUMMARY, "status": "failed", "error": {"type": "ValueError", "message": "no", "traceback": "..."}}


def row(epoch: int) -> dict[str, float]:
    return {"epoch": epoch, "seconds": 1.0}


def test_a_trial_goes_on_from_its_checkpoint_and_repeats_the_rows_after_it(tmp_path: Path) -> None:
    first = LedgerWriter(tmp_path)
    begun = first.begin(KEY, {})
    assert (begun.outcome, begun.checkpoint) == ("run", None)
    first.append(KEY, begun.attempt, row(1), b"after one")
    first.append(KEY, begun.attempt, row(2))
    first.release(KEY, begun.attempt)

    second = LedgerWriter(tmp_path)
    begun = second.begin(KEY, {})
    assert begun.checkpoint == b"after one"
    assert begun.attempt == 2
    second.append(KEY, begun.attempt, row(2))
    assert [one["epoch"] for one in Ledger(tmp_path).epochs(KEY)] == [1, 2]
    second.finish(KEY, begun.attempt, SUMMARY)
    assert not Ledger(tmp_path).checkpoint_file(KEY).exists()
    assert second.begin(KEY, {}).outcome == "done"


def test_a_second_driver_is_told_that_the_trial_is_busy(tmp_path: Path) -> None:
    first, second = LedgerWriter(tmp_path), LedgerWriter(tmp_path)
    begun = first.begin(KEY, {})
    assert second.begin(KEY, {}).outcome == "busy"
    first.finish(KEY, begun.attempt, SUMMARY)
    assert second.begin(KEY, {}).outcome == "done"


def hold(storage: Path) -> None:
    writer = LedgerWriter(storage)
    writer.begin(KEY, {})
    (storage / "held").touch()
    time.sleep(60)


def test_a_killed_driver_leaves_nothing_locked(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.02)
    assert LedgerWriter(tmp_path).begin(KEY, {}).outcome == "busy"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (Ledger(tmp_path).trial_folder(KEY) / ".checkpoint.pt-abc").write_bytes(b"half written")
    assert LedgerWriter(tmp_path).begin(KEY, {}).outcome == "run"
    assert not list(Ledger(tmp_path).trial_folder(KEY).glob(".*"))


def contend(storage: Path, start: float, number: int) -> None:
    time.sleep(max(0.0, start - time.time()))
    writer = LedgerWriter(storage)
    for trial in range(40):
        key = f"{trial:032d}"
        begun = writer.begin(key, {})
        if begun.outcome == "run":
            writer.append(key, begun.attempt, {**row(1), "writer": number})
            writer.finish(key, begun.attempt, {**SUMMARY, "environment": {"writer": number}})


def test_drivers_that_race_for_the_same_trials_run_each_exactly_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = time.time() + 2.0
    processes = [context.Process(target=contend, args=(tmp_path, start, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    ledger = Ledger(tmp_path)
    keys = ledger.keys()
    assert len(keys) == 40
    for key in keys:
        record = ledger.record(key)
        assert record is not None
        assert record["attempts"] == 1
        assert ledger.epochs(key)[0]["writer"] == record["environment"]["writer"]
        assert ledger.status(key, verify=True) == "finished"


def test_an_attempt_given_up_for_lost_can_write_no_more(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    lost = writer.begin(KEY, {})
    again = writer.begin(KEY, {})
    assert again.attempt == lost.attempt + 1
    with pytest.raises(StaleAttemptError):
        writer.append(KEY, lost.attempt, row(1))
    writer.release(KEY, lost.attempt)
    writer.append(KEY, again.attempt, row(1))
    assert LedgerWriter(tmp_path).begin(KEY, {}).outcome == "busy"


def test_a_checkpoint_with_a_changed_bit_is_not_gone_on_from(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    writer.append(KEY, begun.attempt, row(1), bytes(1000))
    file = Ledger(tmp_path).checkpoint_file(KEY)
    content = bytearray(file.read_bytes())
    assert writer.begin(KEY, {}).checkpoint == bytes(1000)
    content[500] ^= 1
    file.write_bytes(content)
    assert writer.begin(KEY, {}).checkpoint is None


def test_the_record_tells_which_epochs_were_trained_elsewhere(tmp_path: Path) -> None:
    here, there = {"host": "a", "device": "cpu"}, {"host": "b", "device": "cuda"}

    def attempt(environment: dict[str, str], epochs: list[int], checkpoint: bytes | None = None) -> tuple[LedgerWriter, int]:
        writer = LedgerWriter(tmp_path)
        begun = writer.begin(KEY, {}, None, environment)
        for epoch in epochs:
            writer.append(KEY, begun.attempt, row(epoch), checkpoint)
        return writer, begun.attempt

    attempt(there, [1, 2])[0].close()  # of which nothing stands, since there is no checkpoint
    attempt(here, [1, 2, 3], b"state")[0].close()
    attempt(there, [])[0].close()  # died before its first epoch
    attempt(here, [4])[0].close()  # goes on where it was
    attempt(there, [4, 5], b"state")[0].close()
    writer, number = attempt(here, [6])
    writer.finish(KEY, number, {**SUMMARY, "environment": here})
    record = Ledger(tmp_path).record(KEY)
    assert record is not None
    assert record["elsewhere"] == [{"from_epoch": 4, "to_epoch": 5, "environment": there}]


def test_a_trial_that_fails_before_its_first_epoch_elsewhere_tells_where_its_epochs_are_from(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {}, None, {"device": "cpu"})
    writer.append(KEY, begun.attempt, row(1), b"state")
    again = writer.begin(KEY, {}, None, {"device": "cuda"})
    writer.finish(KEY, again.attempt, {**FAILED, "environment": {"device": "cuda"}})
    record = Ledger(tmp_path).record(KEY)
    assert record is not None
    assert record["elsewhere"] == [{"from_epoch": 1, "to_epoch": 1, "environment": {"device": "cpu"}}]


def test_an_attempts_file_of_an_earlier_version_tells_of_no_environment(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {}, None, {"device": "cpu"})
    writer.append(KEY, begun.attempt, row(1), b"state")
    file = Ledger(tmp_path).attempts_file(KEY)
    file.write_text('{"number": 1, "started": "2026-01-01T00:00:00+00:00"}')
    assert attempts.environments(file) == []
    again = writer.begin(KEY, {}, None, {"device": "cuda"})
    writer.append(KEY, again.attempt, row(2))
    assert attempts.environments(file) == [{"device": "cuda"}]
    writer.finish(KEY, again.attempt, {**SUMMARY, "environment": {"device": "cuda"}})
    assert "elsewhere" not in (Ledger(tmp_path).record(KEY) or {})


def test_the_record_tells_when_the_first_of_all_attempts_began(tmp_path: Path) -> None:
    LedgerWriter(tmp_path).begin(KEY, {})
    file = Ledger(tmp_path).trial_folder(KEY) / "attempts.json"
    file.write_text('{"number": 1, "started": "2026-01-01T00:00:00+00:00"}')
    writer = LedgerWriter(tmp_path)
    writer.finish(KEY, writer.begin(KEY, {}).attempt, SUMMARY)
    record = Ledger(tmp_path).record(KEY)
    assert record is not None
    assert (record["started"], record["attempts"]) == ("2026-01-01T00:00:00+00:00", 2)


def test_a_failed_trial_runs_again_only_when_asked_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    writer.append(KEY, begun.attempt, row(1), b"state")
    writer.finish(KEY, begun.attempt, FAILED)
    assert LedgerWriter(tmp_path).begin(KEY, {}).outcome == "done"
    begun = LedgerWriter(tmp_path, retry_failed=True).begin(KEY, {})
    assert (begun.outcome, begun.attempt, begun.checkpoint) == ("run", 2, b"state")
    assert (Ledger(tmp_path).trial_folder(KEY) / "failure-1.json").exists()


@pytest.mark.parametrize("name", ["record.json", "epochs.jsonl", "trial.json"])
def test_a_damaged_trial_is_set_aside_and_runs_again(tmp_path: Path, name: str) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    writer.append(KEY, begun.attempt, row(1))
    writer.finish(KEY, begun.attempt, SUMMARY)
    (Ledger(tmp_path).trial_folder(KEY) / name).write_bytes(b"{")
    begun = LedgerWriter(tmp_path).begin(KEY, {})
    assert (begun.outcome, begun.attempt) == ("run", 1)
    assert len(list(Ledger(tmp_path).damaged_folder.iterdir())) == 1


def test_setting_aside_leaves_a_sound_record_alone(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    writer.finish(KEY, begun.attempt, SUMMARY)
    assert writer.set_aside(KEY) is None
    assert Ledger(tmp_path).status(KEY) == "finished"


def test_a_trial_whose_process_died_is_recorded_as_failed(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    writer.begin(KEY, {})
    writer.abandon(KEY, {}, {"type": "ActorDiedError", "message": "killed", "traceback": ""}, {"host": "here"})
    record = Ledger(tmp_path).record(KEY)
    assert record is not None
    assert record["status"] == "failed"
    assert record["error"]["message"] == "killed"
    assert record["attempts"] == 1


def test_a_crash_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    writer.append(KEY, begun.attempt, row(1))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer_module.os, "replace", fail)
        with pytest.raises(LedgerError, match="No space left on device"):
            writer.append(KEY, begun.attempt, row(2))
    assert [one["epoch"] for one in Ledger(tmp_path).epochs(KEY)] == [1]
    assert not [file for file in Ledger(tmp_path).trial_folder(KEY).iterdir() if file.name.startswith(".")]
    writer.append(KEY, begun.attempt, row(2))
    assert len(Ledger(tmp_path).epochs(KEY)) == 2


def test_data_are_kept_once(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    for _ in range(2):
        writer.save_data({"fingerprint": "f", "name": "tiny"}, {"test_labels": np.arange(3)})
    assert Ledger(tmp_path).data("f")["name"] == "tiny"
    assert Ledger(tmp_path).evaluation("f")["test_labels"].tolist() == [0, 1, 2]


RULE = {"scheduler": "asha", "grace_epochs": 1, "reduction_factor": 3}


def stop_after_two_epochs(storage: Path) -> Ledger:
    writer = LedgerWriter(storage)
    begun = writer.begin(KEY, {}, RULE, {"host": "far"})
    writer.append(KEY, begun.attempt, row(1), b"after one")
    writer.append(KEY, begun.attempt, row(2))
    writer.stop(KEY, {**RULE, "epoch": 2, "reason": "not among the best"})
    with pytest.raises(StaleAttemptError):
        writer.append(KEY, begun.attempt, row(3))
    return Ledger(storage)


def test_a_trial_that_is_stopped_early_keeps_its_epochs_and_its_checkpoint(tmp_path: Path) -> None:
    ledger = stop_after_two_epochs(tmp_path)
    record = ledger.record(KEY)
    assert record is not None
    assert (record["status"], record["epochs"], record["selected_epoch"]) == ("stopped", 2, None)
    assert record["stopped"] == {**RULE, "epoch": 2, "reason": "not among the best"}
    assert record["environment"] == {"host": "far"}
    assert ledger.status(KEY, verify=True) == "stopped"
    assert ledger.resumable_epochs(KEY) == 2
    assert ledger.predictions(KEY) is None


def test_a_stopped_trial_has_ended_for_a_plan_with_the_same_rule_only(tmp_path: Path) -> None:
    ledger = stop_after_two_epochs(tmp_path)
    assert ledger.is_stopped_by(KEY, RULE)
    assert LedgerWriter(tmp_path).begin(KEY, {}, RULE).outcome == "done"
    for rule in (None, {**RULE, "grace_epochs": 2}, {"scheduler": "median", "grace_epochs": 1}):
        assert not ledger.is_stopped_by(KEY, rule)
    assert ledger.status(KEY) == "stopped"
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    assert (begun.outcome, begun.attempt, begun.checkpoint) == ("run", 2, b"after one")
    for epoch in (2, 3):
        writer.append(KEY, begun.attempt, row(epoch))
    writer.finish(KEY, begun.attempt, SUMMARY)
    assert ledger.status(KEY, verify=True) == "finished"
    assert not ledger.is_stopped_by(KEY, RULE)
    assert (ledger.trial_folder(KEY) / "stopped-1.json").exists()


def test_a_trial_that_goes_on_after_it_was_stopped_survives_a_kill_at_its_first_step(tmp_path: Path) -> None:
    ledger = stop_after_two_epochs(tmp_path)
    LedgerWriter(tmp_path).begin(KEY, {})  # and no more: its lock ends with it
    assert ledger.status(KEY, verify=True) == "interrupted"
    assert LedgerWriter(tmp_path).begin(KEY, {}, RULE).checkpoint == b"after one"


def test_a_trial_that_is_not_open_any_more_cannot_be_stopped(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    begun = writer.begin(KEY, {})
    writer.finish(KEY, begun.attempt, SUMMARY)
    writer.stop(KEY, {**RULE, "epoch": 1, "reason": "too late"})
    assert Ledger(tmp_path).status(KEY) == "finished"


def test_a_stopped_record_that_does_not_say_why_is_damaged(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    writer.finish(KEY, writer.begin(KEY, {}).attempt, {**SUMMARY, "status": "stopped"})
    assert Ledger(tmp_path).status(KEY) == "damaged"
