"""What is minimised: the user's own losses, torch's, and cross-entropy against votes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_code import outcomes, train, write
from toy_data import toy_data

from ferray.attachments import Finder
from ferray.config import Config
from ferray.data import Split
from ferray.errors import ConfigError
from ferray.training import fit
from ferray.training.losses import vote_shares
from ferray.training.state import dump_state, load_state

SMALL = {"model": "dnn", "width": 0.2}


def test_cross_entropy_under_another_name_gives_the_same_numbers(tmp_path: Path) -> None:
    ours = outcomes(train(tmp_path, **SMALL))
    assert outcomes(train(tmp_path, **SMALL, loss="torch.nn:CrossEntropyLoss")) == ours
    write(tmp_path, losses="import torch.nn.functional as F\ndef make(): return lambda logits, labels: F.cross_entropy(logits, labels)\n")
    assert outcomes(train(tmp_path, **SMALL, loss="./losses.py:make")) == ours


def test_another_loss_trains_otherwise_and_the_recorded_one_stays_cross_entropy(tmp_path: Path) -> None:
    write(
        tmp_path,
        losses="""
            import torch.nn.functional as F
            class Scaled:
                def __init__(self, num_classes, by=1.0):
                    assert num_classes == 3
                    self.by = by
                def __call__(self, logits, labels):
                    return self.by * F.cross_entropy(logits, labels)
        """,
    )
    settings = {**SMALL, "optimizer": "sgd", "epochs": 1, "batch_size": 64, "loss": "./losses.py:Scaled"}
    once, thrice = (outcomes(train(tmp_path, **settings, loss_arguments={"by": by}))[0] for by in (1.0, 3.0))
    assert once["train_loss"] == thrice["train_loss"], "of one step, before which both have the same weights"
    assert once["validation_loss"] != thrice["validation_loss"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def make(): return 3", "loss: ./own.py:make: its factory must return what maps logits and labels to a loss, not an int"),
        (
            "def make(): return lambda logits, labels: logits",
            "and labels [n], not a tensor float32 [16, 3]",
        ),
        ("def make(): return lambda logits, labels: 0.5", "not a float"),
        ("def make(): return lambda logits, labels: logits.detach().mean()", "not one that gradients do not reach"),
        ("def make(): return lambda logits, labels: logits @ labels", "on logits [16, 3] and labels [16] it raises RuntimeError: "),
        ("def make(gamma): pass", "missing a required argument: 'gamma'"),
        ("def make(gamma): raise ValueError('negative')", "called with (gamma=-1), it raises ValueError: negative (own.py, line 2)"),
        ("from torch.nn import Linear as make_one\ndef make(): return make_one(1, 1)", "has parameters of its own"),
    ],
)
def test_a_loss_that_is_none_is_told(tmp_path: Path, body: str, message: str) -> None:
    write(tmp_path, own=f"import torch\n{body}\n")
    with pytest.raises(ConfigError) as raised:
        train(tmp_path, **SMALL, loss="./own.py:make", loss_arguments={"gamma": -1} if "negative" in body else {})
    assert message in str(raised.value)


def test_soft_labels_are_the_shares_of_the_votes_and_the_label_where_nobody_voted() -> None:
    votes = np.array([[6, 2, 0], [0, 0, 0], [0, 0, 5]], np.float32)
    shares = vote_shares(votes, torch.tensor([0, 1, 2]), 3)
    assert torch.equal(shares, torch.tensor([[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))


def test_votes_for_the_label_alone_train_as_the_label_does(tmp_path: Path) -> None:
    data = toy_data(train=33)
    certain = F.one_hot(torch.from_numpy(data.train.labels.copy())).numpy().astype(np.float32) * 10
    torn = np.full_like(certain, 5)
    rows = [
        outcomes(train(tmp_path, data=replace(data, train=Split(data.train.images, data.train.labels, votes)), soft_labels=True, **SMALL))
        for votes in (certain, torn)
    ]
    plain = outcomes(train(tmp_path, data=data, **SMALL))
    assert [row["train_loss"] for row in rows[0]] == pytest.approx([row["train_loss"] for row in plain], rel=1e-5)
    assert rows[1][1]["train_loss"] > plain[1]["train_loss"]


def test_soft_labels_without_votes_or_with_another_loss_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="soft_labels: the data have no votes to train on"):
        train(tmp_path, **SMALL, soft_labels=True)
    with pytest.raises(ConfigError, match=r"soft_labels are for cross_entropy, not loss 'torch\.nn:MultiMarginLoss'"):
        Config.parse({"soft_labels": True, "loss": "torch.nn:MultiMarginLoss"})


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("field", ["loss", "transform"])
def test_what_a_module_keeps_in_buffers_goes_on_after_an_interruption(tmp_path: Path, field: str, persistent: bool) -> None:
    write(
        tmp_path,
        own=f"""
            import torch
            import torch.nn.functional as F
            class Counting(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.register_buffer("seen", torch.zeros(()), persistent={persistent})
            class loss(Counting):
                def forward(self, logits, labels):
                    self.seen += 1
                    return F.cross_entropy(logits, labels) / self.seen
            class transform(Counting):
                def forward(self, image):
                    self.seen += 1
                    return image / self.seen
        """,
    )
    settings = {**SMALL, "epochs": 3, field: f"./own.py:{field}"}
    config = Config.parse({**settings, "batch_size": 16, "precision": "fp32"})
    data, attachments = toy_data(train=33), Finder([tmp_path]).attach(config)
    states = [dump_state(epoch.state()) for epoch in fit(config, data, attachments=attachments)]
    expected = outcomes(train(tmp_path, **settings))
    for done in (1, 2):
        assert outcomes(train(tmp_path, resume=load_state(states[done - 1]), **settings)) == expected[done:]


@pytest.mark.parametrize("field", ["loss", "transform"])
def test_what_a_factory_draws_follows_from_the_seed(tmp_path: Path, field: str) -> None:
    write(
        tmp_path,
        own="""
            import torch
            import torch.nn.functional as F
            def loss(num_classes):
                weight = torch.rand(num_classes)
                return lambda logits, labels: F.cross_entropy(logits, labels, weight=weight)
            def transform():
                strength = torch.rand(())
                return lambda image: image * strength
        """,
    )
    settings = {**SMALL, field: f"./own.py:{field}"}
    first = outcomes(train(tmp_path, **settings))
    torch.rand(3)
    assert outcomes(train(tmp_path, **settings)) == first
