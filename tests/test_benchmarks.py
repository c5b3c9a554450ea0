"""The measuring itself: turns, spreads, targets, tables; how fast anything is belongs to ``python -m benchmarks``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import memory, page, records, sleeper
from benchmarks.commands import CommandError, run
from benchmarks.contender import Contender, ContenderError, in_turns
from benchmarks.engine import GFLOP_PER_IMAGE
from benchmarks.figures import Figure, Spread
from benchmarks.studies import sleeping, warm
from ferray import Config, Results
from ferray.training.models import build

ROOT = Path(__file__).parent.parent
PRODUCT = {"size": 64, "threads": 1, "precision": "fp32"}


def test_contenders_do_their_rounds_in_turns_in_processes_of_their_own() -> None:
    contenders = [Contender("one", "training:matrix_product", PRODUCT), Contender("two", "training:matrix_product", PRODUCT, processes=2)]
    samples = in_turns(contenders, 2)
    assert {name: len(own) for name, own in samples.items()} == {"one": 2, "two": 2}
    assert all(sample.rate > 0 and sample.seconds >= 1 and sample.memory > 10**7 for own in samples.values() for sample in own)


def test_a_contender_that_fails_is_told_by_its_name() -> None:
    with pytest.raises(ContenderError, match="wrong: its process ended with 1"):
        in_turns([Contender("wrong", "training:matrix_product", {"size": "large"})], 1)


def test_the_cnns_operations_are_those_that_torch_counts() -> None:
    model = build(Config(), (1, 48, 48), 7)
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(2, 1, 48, 48)).sum().backward()
    assert counter.get_total_flops() / 2 / 1e9 == pytest.approx(GFLOP_PER_IMAGE, rel=0.01)


def test_a_spread_is_of_something() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    with pytest.raises(ValueError, match="no values"):
        Spread.of([])


def test_a_target_is_of_the_ratio_and_what_was_not_measured_meets_none() -> None:
    met = Figure("a", "a", "images/s", Spread.of([500.0]), "peer", Spread.of([100.0]), Spread.of([5.0]), target=4.0)
    missed = Figure("b", "b", "s", Spread.of([2.0]), target=1.0, better="less")
    unknown = Figure("c", "c", "images/s", Spread.of([500.0]), "peer", target=4.0, reason="there is no GPU")
    assert (met.is_met, missed.is_met, unknown.is_met) == (True, False, None)
    rows = list(page.table([one.as_json for one in (met, missed, unknown)]))[2:]
    assert "at least 4: yes" in rows[0]
    assert "at most 1: **no**" in rows[1]
    assert "not measured | there is no GPU" in rows[2]


def test_the_page_has_the_tables_of_the_newest_results() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    newest = {file.stem.split("-", 3)[3]: file for file in sorted((ROOT / "benchmarks" / "results").glob("*.json"))}
    parts = {name: json.loads(file.read_text()) for name, file in newest.items()}
    assert page.page(text, parts) == text


def test_the_first_tenth_of_the_trials_and_two_at_least_do_not_count_as_warm() -> None:
    assert warm([5.0, 9.0, 10.0, 11.0]).seconds == 2.0
    assert (warm([float(n) for n in range(40)]).done, warm([float(n) for n in range(40)]).seconds) == (36, 36.0)


def test_gaps_are_those_between_trials_of_one_process(tmp_path: Path) -> None:
    steps = [(1, 0.0, 3.0), (2, 0.5, 3.5), (9, 0.1, 0.2), (1, 3.25, 6.0), (2, 4.0, 7.0)]
    (tmp_path / "log").write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    assert sleeper.gaps(tmp_path / "log") == [0.25, 0.5]


def test_sleeping_trials_take_the_time_that_was_asked_for(tmp_path: Path) -> None:
    outcome = sleeping([0, 1], 0.4, tmp_path / "log").run(tmp_path / "ledger", local=True, say=lambda line: None)
    assert outcome.statuses == {"finished": 2}
    steps = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [end - began >= 0.4 for _, began, end in steps] == [True, True]


def test_a_made_up_ledger_reads_as_one_that_was_trained(tmp_path: Path) -> None:
    results = Results.load(tmp_path, records.make(tmp_path, 10, epochs=3, images=20))
    assert set(results.trials["status"]) == {"finished"}
    assert len(results.trials) == 10
    assert len(results.epochs) == 30
    assert not results.damaged


def test_the_peak_of_a_process_stays_known_and_its_descendants_are_found() -> None:
    with subprocess.Popen([sys.executable, "-c", "x = b'x' * 50_000_000; del x; input()"], stdin=subprocess.PIPE) as process:
        while memory.peak(process.pid) < 50e6:
            assert process.poll() is None
        assert process.pid in memory.descendants(os.getpid())
        process.communicate(b"\n")
    assert memory.peak(process.pid) == 0


def test_a_command_is_timed_and_one_that_fails_is_told_with_what_it_wrote() -> None:
    done = run(["-c", "import time; time.sleep(0.2)"])
    assert done.seconds > 0.2
    assert done.memory > 10**6
    with pytest.raises(CommandError, match="status 3: no luck"):
        run(["-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])


def test_a_part_that_does_not_exist_is_told_with_status_two() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "engin"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such part: engin (there are engine" in done.stderr


def test_ways_to_train_on_a_gpu_work_on_a_processor_as_far_as_they_can() -> None:
    from benchmarks import gpu

    size = {"images": 32, "evaluated": 8}
    settings = {"width": 0.1, "precision": "fp32", "batch_size": 16}
    ways = {one.name: one for one in [*gpu.alone(size, "cpu", **settings)[:2], *gpu.many(2, size, "cpu", **settings)[:2]]}
    samples = in_turns(list(ways.values()), 1)
    assert set(samples) == {"ferray", "not recorded", "together", "apart"}
    assert all(one.rate > 0 for taken in samples.values() for one in taken)


def test_eager_pytorch_trains_on_a_processor_too() -> None:
    from benchmarks.peers import eager

    assert eager.train(16, evaluated=4, device="cpu", precision="fp32")() == 16


def test_trials_in_a_pack_agree_with_the_same_ones_by_themselves() -> None:
    from benchmarks import gpu

    figure = gpu.agreement("cpu", 32, 2, width=0.1, precision="fp32", batch_size=16)
    assert figure.is_met
    assert figure.value is not None
    assert figure.value.most == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_each_of_its_figures_is_told_as_not_measured() -> None:
    from benchmarks import gpu

    figures = gpu.figures(1)
    assert {figure.reason for figure in figures} == {gpu.NO_GPU}
    assert sum(figure.target is not None for figure in figures) == 4
    assert all("not measured" in line for line in list(page.table([figure.as_json for figure in figures]))[2:])


def test_the_engine_s_figure_has_a_bar_for_each_way_the_fastest_first() -> None:
    from benchmarks.engine_chart import engine_chart, rates

    def told(key: str, title: str, value: float, peer: str, beside: float, unit: str = "images/s") -> dict[str, object]:
        return Figure(key, title, unit, Spread.of([value]), peer, Spread.of([beside])).as_json

    figures = [
        told("cnn_beside_keras", "reference CNN, ferray, 2 x 1 thread", 300.0, "Keras", 100.0),
        told("cnn_beside_tutorial", "reference CNN, ferray, 2 x 1 thread", 300.0, "PyTorch tutorial", 200.0),
        told("dnn_beside_cnn", "reference DNN", 3000.0, "ferray", 300.0),
        told("cnn_beside_matrix_product", "reference CNN in fp32", 110.0, "product", 184.0, "GFLOP/s"),
    ]
    ways, limit = rates(figures)
    assert list(ways) == ["ferray, 2 x 1 thread", "PyTorch tutorial", "Keras"]
    assert limit == pytest.approx(500)
    assert engine_chart(figures).startswith(b"\x89PNG")
