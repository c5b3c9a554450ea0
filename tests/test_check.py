"""Before anything is trained: what a study names of its own is built and called once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from own_code import NETWORK, write
from safetensors.torch import save_file
from studies import tiny

from ferray import command, tune
from ferray.data import load
from ferray.data_source import DataSource
from ferray.errors import ConfigError
from ferray.ledger import Ledger
from ferray.running import check as check_module
from ferray.running.check import check
from ferray.study import Study

DATA = load(DataSource(source="synthetic", images=140))
WRONG = """
    class Wrong(Net):
        def forward(self, images):
            return super().forward(images)[:, :2]
"""
OWN: dict[str, Any] = {"model": "./net.py:Net", "epochs": 1, "precision": "fp32"}


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path, net=NETWORK + WRONG))


def _own(**changes: Any) -> Study:
    return tiny(**{"base": OWN, "ablate": None, **changes})


def _check(study: Study) -> list[str]:
    said: list[str] = []
    check(study.plan(DATA), DATA, said.append)
    return said


def test_a_study_of_ferrays_own_networks_needs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(check_module, "_try", never)
    assert _check(tiny(variants={"other": {"l1": 0.1}}, seeds=3)) == []


def test_each_combination_is_tried_once_whatever_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(check_module, "_try", lambda trial, _: tried.append((trial.variant, dict(trial.config.model_arguments))))
    study = _own(
        variants={"wide": {"model_arguments.width": 8}, "longer": {"epochs": 2}},
        search={"model_arguments.dropout": {"grid_search": [0.1, 0.2]}},
        seeds=3,
    )
    _check(study)
    assert tried == [
        ("baseline", {"dropout": 0.1}),
        ("wide", {"width": 8, "dropout": 0.1}),
        ("baseline", {"dropout": 0.2}),
        ("wide", {"width": 8, "dropout": 0.2}),
    ]


def test_a_fault_that_only_a_search_reaches_is_found_with_its_variant() -> None:
    study = _own(search={"model_arguments.width": {"grid_search": [4, 0]}})
    with pytest.raises(ConfigError, match=r"variant 'baseline': model: ./net.py:Net: "):
        _check(study)


def test_a_network_that_fails_only_in_training_is_found(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK.replace("return self", "assert not self.training, 'not like this'\n            return self"))
    with pytest.raises(ConfigError, match=r"variant 'baseline': one epoch on 4 images raises AssertionError: not like this \(net"):
        _check(_own())


def test_a_network_that_cannot_train_on_the_batches_of_its_trial_is_found(tmp_path: Path) -> None:
    write(tmp_path, net=NETWORK.replace("nn.Dropout(dropout)", "nn.BatchNorm1d(width)"))
    _check(_own())
    with pytest.raises(ConfigError, match=r"variant 'single': one epoch on 4 images raises ValueError: Expected more than 1 value"):
        _check(_own(variants={"single": {"batch_size": 1}}))


def test_what_was_taken_of_pretrained_weights_is_said_once(tmp_path: Path) -> None:
    save_file({"body.0.bias": torch.zeros(4)}, tmp_path / "some.safetensors")
    said = _check(_own(base={**OWN, "pretrained": "some.safetensors"}))
    assert len(said) == 1
    assert said[0].startswith("variant 'baseline': pretrained: taken 1 of the network's 9 tensors from some.safetensors; left as init")


def test_the_check_leaves_the_process_its_threads() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    _check(_own())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("{model: ./nte.py:Net}", "no such file; did you mean 'net.py'?"),
        ("{model: ./net.py:Nte}", "net has no Nte; did you mean 'Net'?"),
        ("{model: ./net.py:Net, model_arguments: {witdh: 3}}", "takes no such argument; did you mean 'width'?"),
        ("{model: torchvision:resnet81}", "torchvision has no classifier of this name; did you mean 'resnet18'?"),
        ("{model: ./net.py:Net, loss: ./net.py:Loss}", "net has no Loss"),
        ("{model: ./net.py:Wrong}", "variant 'baseline': model: ./net.py:Wrong: "),
        ("{model: ./net.py:Net, width: 2.0}", "width has no effect with model"),
        ("{soft_labels: true}", "soft_labels: the data have no votes"),
        ("{model: cnm}", "no network is called so; did you mean 'cnn'?"),
    ],
)
@pytest.mark.parametrize("how", ["--local", "--plan"])
def test_a_mistake_ends_the_command_with_status_2_before_any_trial(
    tmp_path: Path, how: str, base: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"data: {{source: synthetic, images: 140}}\nbase: {base}\nvariants: {{other: {{l1: 0.1}}}}\n"
    (tmp_path / "study.yaml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["ferray.tune", str(tmp_path / "study.yaml"), how, "--storage", str(tmp_path / "ledger")])
    with pytest.raises(SystemExit) as ended:
        command.run(tune.main)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert Ledger(tmp_path / "ledger").keys() == []
