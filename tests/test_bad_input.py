"""Bad study files and settings: each is told in plain words with its place, ends with exit code 2, and nothing is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ferray import command, tune
from ferray.running import runner

BASE = "data: {source: synthetic, images: 140}\n"


def told(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line says to these arguments on its way out with exit code 2."""

    def train(*_: object, **__: object) -> None:
        raise AssertionError("bad input went on to a training")

    monkeypatch.setattr(runner, "run", train)
    monkeypatch.setattr(sys, "argv", ["tune.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.run(tune.main)
    output = capsys.readouterr()
    assert ended.value.code == 2
    assert "planned" not in output.out
    assert "Traceback" not in output.err
    return output.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base:\n  width: 0.5\n  epohcs: 3\n", "my.yaml, line 4: base.epohcs: unknown key; did you mean 'epochs'?"),
        ("sedes: 3\n", "my.yaml, line 2: sedes: unknown key; did you mean 'seeds'?"),
        ("epochs: 3\n", "my.yaml, line 2: epochs: unknown key; did you mean 'base.epochs'?"),
        ("variants:\n  a: {modle: dnn}\n", "my.yaml, line 3: variants.a.modle: unknown key; did you mean 'model'?"),
        ("variants:\n  - {name: a, l1: 0.1}\n  - name: b\n    modle: dnn\n", "my.yaml, line 5: variants.b.modle: unknown key"),
        ("variants:\n  - {name: a, l1: 0.1}\n  - {l1: 0.2}\n", "my.yaml, line 4: variants.2: needs a name, as in {name: dnn, model: dnn}"),
        ("base: {epochs: three}\n", "my.yaml, line 2: base.epochs: must be a whole number, not 'three'"),
        ("base: {epochs: 1.5}\n", "my.yaml, line 2: base.epochs: must be a whole number, not 1.5"),
        ("base: {batch_norm: yes}\n", "my.yaml, line 2: base.batch_norm: must be true or false, not 'yes'"),
        ("base: {augmentation: 3}\n", "my.yaml, line 2: base.augmentation: must be a mapping of names to values, not 3"),
        ("base: [1]\n", "my.yaml, line 2: base: must be a mapping of names to values, not [1]"),
        ('base:\n  l1: "1e-4"\n', "my.yaml, line 3: base.l1: must be a number, and '1e-4' is text: remove the quotes"),
        ("base: {epochs: '5'}\n", "my.yaml, line 2: base.epochs: must be a whole number, and '5' is text: remove the quotes"),
        ("base: {epochs: -3}\n", "my.yaml, line 2: base.epochs: must be at least 1, not -3"),
        ("base: {augmentation.horizontal_flip: 1.5}\n", "my.yaml, line 2: base.augmentation.horizontal_flip: must be at most 1, not 1.5"),
        ("base: {learning_rate: .nan}\n", "my.yaml, line 2: base.learning_rate: must be a finite number, not nan"),
        ("base: {optimizer: sdg}\n", "base.optimizer: must be 'adam', 'adamw' or 'sgd', not 'sdg'; did you mean 'sgd'?"),
        ("base: {seed: 3}\n", "my.yaml, line 2: base.seed: seed is set by the study's `seeds`"),
        ("base: {momentum: 0.5}\n", "my.yaml, line 2: base: momentum has no effect with optimizer 'adam'"),
        ("name: ../x\n", "my.yaml, line 2: name: must be letters, digits and _ . + -, with a letter or digit first, not '../x'"),
        ("name: 3\n", "my.yaml, line 2: name: must be text, not 3"),
        ("seeds: '3'\n", "my.yaml, line 2: seeds: how many (a whole number from 1 to 100,000 without quotes), or a list of them, not '3'"),
        ("seeds: three\n", "my.yaml, line 2: seeds: how many (a whole number from 1 to 100,000), or a list of them, not 'three'"),
        ("tuning: {seeds: 2}\n", "my.yaml, line 2: tuning: there is one sample to choose from; say in `search` what is tried"),
        ("tuning: asha\n", "my.yaml, line 2: tuning: must be a mapping, such as {seeds: 1, scheduler: asha}, not 'asha'"),
        ("tuning:\n  within: study\n", "my.yaml, line 3: tuning.within: must be 'variant', not 'study': trials are stopped early only by"),
        ("tuning:\n  grace_epochs: 2\n", "my.yaml, line 3: tuning.grace_epochs: belongs to a scheduler, and without one nothing is"),
        ("budget: 4\n", "my.yaml, line 2: budget: must be a mapping, such as {processor_hours: 4}, not 4"),
        ("budget: {cpu_hours: 4}\n", "my.yaml, line 2: budget.cpu_hours: unknown key; did you mean 'processor_hours'? Give one of"),
        ("smallest_effect: 0.005\n", "my.yaml, line 2: smallest_effect: is in accuracy points (percent), and no fraction; must"),
        ("base: {l1: 0.1}\nablate:\n  remove: [l1]\n  factors:\n    penalties: [l1, l2]\n",
         "my.yaml, line 6: ablate.factors.penalties: is never taken away: name it in `remove`, or in a group that stands there"),
        ("base: {l1: 0.1}\nablate: {remove: [l1]}\nvariants:\n  mine: {l1: 0.0}\n",
         "my.yaml, line 5: variants.mine: 'no-l1' and 'mine' have the same settings"),
        ("ablate: {remove: [l1, L2]}\n", "my.yaml, line 2: ablate.remove: unknown factor 'L2'; did you mean 'l2'? (there are: "),
        (
            "search: {l1: {choice: [0.1, 0.2]}}\nnum_samples: 9\ntuning:\n  seeds: [0]\n",
            "my.yaml, line 5: tuning.seeds: seeds that choose the settings cannot judge them too: 0 is also in `seeds`",
        ),
        ("seeds: 0\n", "my.yaml, line 2: seeds: how many"),
        ("seeds: [1, 1]\n", "my.yaml, line 2: seeds: each seed once"),
        ("ablate: {remove: [augmentaton]}\n", "my.yaml, line 2: ablate.remove: unknown factor 'augmentaton'; did you mean 'augmentation'?"),
        ("ablate: {design: pth, remove: [l1]}\n", "my.yaml, line 2: ablate.design: must be 'path', 'leave_one_out', 'add_one_in', "
         "'factorial' or 'fractional', not 'pth'; did you mean 'path'?"),
        ("ablate: {remove: [dropout], resolution: 3}\n", "line 2: ablate.resolution: belongs to design: fractional, not to path"),
        ("ablate:\n  design: fractional\n  remove: [dropout, batch_norm, input_scaling]\n  resolution: 2\n",
         "my.yaml, line 5: ablate.resolution: must be 3, 4 or 5 (or III, IV or V), not 2"),
        ("ablate:\n  design: fractional\n  remove: [dropout, batch_norm, input_scaling]\n  resolution: IV\n",
         "line 5: ablate.resolution: no fraction of 3 factors has resolution 4 and is smaller than the full factorial; there is"),
        ("ablate:\n  design: factorial\n  remove: [normalization, batch_norm]\n",
         "my.yaml, line 4: ablate.remove: normalization and batch_norm both set batch_norm, so that neither is there without the other"),
        ("ablate:\n  design: leave_one_out\n  remove: [penalties]\n  factors: {penalties: [l1, dropuot]}\n",
         "my.yaml, line 5: ablate.factors.penalties: unknown factor 'dropuot'; did you mean 'dropout'?"),
        ("ablate: {design: factorial, remove: [l1]}\n", "line 2: ablate.remove: the base has no l1 to take away; switch it on in `base`"),
        ("ablate: {}\n", "my.yaml, line 2: ablate.remove: is missing"),
        ("ablate:\n  remove: [x]\n  factors:\n    x: {epohcs: 1}\n", "line 5: ablate.factors.x.epohcs: unknown key; did you mean"),
        ("published: {cnn: {test: 0.6}}\n", "my.yaml, line 2: published.cnn: no variant is called cnn (there are: baseline)"),
        ("search:\n  l1: {}\n", "my.yaml, line 3: search.l1: not a domain: {}; write for example {choice: [...]}"),
        ("search:\n  l1: 0.1\n", "my.yaml, line 3: search.l1: not a domain: 0.1"),
        ("search:\n  l1:\n    choice: []\n", "my.yaml, line 4: search.l1.choice: takes a list that is not empty, not []"),
        ("search: {l1: {uniform: [1, 0]}}\n", "my.yaml, line 2: search.l1.uniform: the lower bound 1 must be less than the upper bound 0"),
        ("search: {l1: {loguniform: [0, 1]}}\n", "search.l1.loguniform: the lower bound 0 of a logarithmic range must be greater than 0"),
        ("search: {l1: {loguniform: ['1e-5', '1e-3']}}\n", "takes [lower, upper] as numbers, and '1e-5' is text: remove the quotes"),
        ("search: {l1: {eval: 1+1}}\n", "my.yaml, line 2: search.l1: eval runs code, which a study file never does"),
        ("search: {l1: {sample_from: 'lambda: 1'}}\n", "search.l1: sample_from runs code, which a study file never does"),
        ("search: {l1: {unifrom: [0, 1]}}\n", "search.l1: unknown domain 'unifrom'; did you mean 'uniform'?"),
        ("search: {seed: {choice: [1, 2]}}\n", "my.yaml, line 2: search.seed: seed is set by the study's `seeds`"),
        ("search: {l3: {choice: [1.0]}}\n", "my.yaml, line 2: search.l3: unknown key"),
        ("search:\n  augmentation:\n    rotaton: {choice: [1.0]}\n", "line 4: search.augmentation.rotaton: unknown key; did you mean"),
        ("search: {optimizer: {choice: [adam, sdg]}}\n", "my.yaml, line 2: search.optimizer: must be 'adam', 'adamw' or 'sgd', not 'sdg'"),
        ("search: {l1: {choice: [0.1], when: {optimizer: sdg}}}\n", "line 2: search.l1.when.optimizer: is never 'sdg' in this study"),
        ("search:\n  epochs: {randint: [1, 10]}\nnum_samples: 1000000\nseeds: 2\n",
         "my.yaml, line 2: search: 2,000,000 trials (1 variant x 1,000,000 draws x 2 seeds) are too many to plan; at most 1,000,000"),
        ("base:\n\tepochs: 3\n", "my.yaml, line 3, column 1: a tab; YAML is indented with spaces"),
        ("seeds: 1\nseeds: 2\n", "my.yaml, line 3, column 1: 'seeds' appears twice"),
        ("base: !!python/object/apply:os.system [true]\n", "a study file is data, and has no tags"),
        ("base: !mine {epochs: 3}\n", "my.yaml, line 2, column 7: the tag '!mine': a study file is data, and has no tags"),
        ("base: {epochs: 3\n", "my.yaml, line 3, column 1: expected ',' or '}', but got the end"),
        ("base: {1: 3}\n", "my.yaml, line 2, column 8: '1' is not a name"),
    ],
)  # fmt: skip
def test_a_fault_of_a_study_file_is_told_with_its_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(BASE + text)
    assert message in told(["my.yaml"], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "my.yaml: a study file is a mapping of names to values, such as `seeds: 5`, and it is empty"),
        (b"# nothing yet\n", "it is empty"),
        (b"- a\n", "it holds a list"),
        (b"quickstart\n", "it holds a single value"),
        (b"\x89PNG\r\n\x1a\n\xff", "my.yaml: cannot be read: it is not UTF-8 text"),
        (b"name: x\x00\n", "my.yaml: unacceptable character #x0000: special characters are not allowed\n"),
        (b"data: [fer2013]\n", "my.yaml, line 1: data: a word such as fer2013, or a mapping such as {source: fer2013,"),
        (b"data: {subste: 5}\n", "my.yaml, line 1: data.subste: unknown key; did you mean 'data.subset'?"),
        (b"data: fer2012\n", "my.yaml, line 1: data.source: no such source; did you mean 'fer2013'?"),
        (b"data: {subset: 0}\n", "my.yaml, line 1: data.subset: must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_study_is_told(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_bytes(content)
    assert message in told(["my.yaml"], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my.yaml", "--set", "base.epohcs=3"], "error: --set base.epohcs=3: base.epohcs: unknown key; did you mean 'epochs'?"),
        (["my.yaml", "--set", "epochs=3"], "--set epochs=3: epochs: unknown key; did you mean 'base.epochs'?"),
        (["my.yaml", "--set", "base.epochs=-1"], "--set base.epochs=-1: base.epochs: must be at least 1, not -1"),
        (["my.yaml", "--set", "base.l1='1e-4'"], "--set base.l1='1e-4': base.l1: must be a number, and '1e-4' is text: remove the quotes"),
        (["my.yaml", "--set", "base={epohcs: 3}"], "--set base={epohcs: 3}: base.epohcs: unknown key"),
        (["my.yaml", "--set", "data.subste=3"], "--set data.subste=3: data.subste: unknown key; did you mean 'data.subset'?"),
        (["my.yaml", "--set", "base.model_arguments.depth=3"], "base: model_arguments have no effect with model 'cnn'"),
        (["my.yaml", "--set", "base.epochs"], "error: --set base.epochs: write NAME=VALUE, for example --set base.epochs=3"),
        (["my.yaml", "--set", "seeds=[1,"], "--set seeds=[1,: expected the node content, but found the end"),
        (["folder"], "study file 'folder': it is a folder; give a file in it, such as folder/my-study.yaml"),
        (["mine.yaml"], "no study file 'mine.yaml'"),
        (["quikstart"], "did you mean 'quickstart'? Give a path, or one of: "),
    ],
)
def test_a_bad_argument_is_told(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(BASE)
    Path("folder").mkdir()
    assert message in told(arguments, monkeypatch, capsys)


def test_several_faults_are_told_at_once_each_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(f"{BASE}base:\n  epochs: 0\n  l1: -1\n")
    assert told(["my.yaml", "--set", "base.l2=-1"], monkeypatch, capsys) == (
        "error: 3 faults:\n"
        "  my.yaml, line 4: base.l1: must be at least 0, not -1\n"
        "  --set base.l2=-1: base.l2: must be at least 0, not -1\n"
        "  my.yaml, line 3: base.epochs: must be at least 1, not 0\n"
    )


def test_an_empty_search_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferray import Study

    (tmp_path / "my.yaml").write_text(f"{BASE}search: {{}}\n")
    assert Study.load(tmp_path / "my.yaml").search == {}
