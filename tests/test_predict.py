"""`python -m ferray.predict` as a user meets it: images of any kind, the unreadable named, the others answered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from studies import tiny

from ferray import export_trial, load_model, predict
from ferray.errors import DataError, ModelError
from ferray.running.runner import run
from ferray.trained_model import Model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("predict")
    run(tiny(ablate=None, seeds=1), place / "ledger", local=True, say=lambda _: None)
    return export_trial("tiny", place / "ledger", place / "model").folder


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Four images, one of them in a folder below, and files that are none."""
    generator = np.random.default_rng(0)
    place = tmp_path / "faces"
    (place / "more").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(generator.integers(0, 256, (48, 48), np.uint8)).save(place / f"{number}.png")
    Image.fromarray(generator.integers(0, 256, (60, 90, 3), np.uint8)).save(place / "more" / "photo.jpg")
    (place / "notes.txt").write_text("no image")
    return place


def answer(*arguments: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ferray.predict", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=100)


def model(shape: tuple[int, int, int], resize: str = "crop") -> Model:
    channels, height, width = shape
    sizes = {"channels": channels, "height": height, "width": width, "resize": resize}

    def compute(images: Any) -> Any:
        means = images.reshape(len(images), -1).mean(axis=1) / 255
        return np.stack([means, 1 - means], axis=1).astype(np.float32)

    return Model({"classes": ["bright", "dark"], "preprocessing": sizes}, compute)


def test_it_prints_the_class_and_the_probability_of_each_image(folder: Path, faces: Path) -> None:
    done = answer(folder, faces, "--top", 2)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [str(faces / name) for name in ("0.png", "1.png", "2.png", "more/photo.jpg")]
    network = load_model(folder)
    pixels = np.asarray(Image.open(faces / "1.png"))[None, None]
    (probabilities,) = network.probabilities(pixels)
    order = np.argsort(-probabilities)
    assert rows[1][1:] == [
        text for index in order[:2] for text in (network.classes[index], f"{round(float(probabilities[index]), 6):.4f}")
    ]  # fmt: skip


def test_an_image_that_cannot_be_read_is_named_and_the_others_go_on(folder: Path, faces: Path) -> None:
    (faces / "bad.png").write_bytes(b"no image at all")
    (faces / "half.png").write_bytes((faces / "0.png").read_bytes()[:500])
    done = answer(folder, faces, faces / "gone.png", "--batch-size", 2)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 4
    told = done.stderr.splitlines()
    assert [line.partition(": cannot be read: ")[0] for line in told] == [str(faces / name) for name in ("bad.png", "half.png", "gone.png")]
    assert told[2].endswith("no such file")
    assert "object at" not in done.stderr
    assert "Traceback" not in done.stderr


def test_json_holds_the_same_with_the_faults(folder: Path, faces: Path) -> None:
    (faces / "bad.png").write_bytes(b"no")
    done = answer(folder, faces / "*.png", "--json")
    found = json.loads(done.stdout)
    assert [Path(one["image"]).name for one in found] == ["0.png", "1.png", "2.png", "bad.png"]
    assert [len(one.get("classes", [])) for one in found] == [1, 1, 1, 0]
    assert "error" in found[3]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}/nowhere", "x.png"], "holds no exported network"),
        (["{model}", "{faces}/*.gif"], "no file fits this pattern"),
        (["{model}", "{empty}"], "no image in this folder"),
        (["{model}", "{faces}", "--top", "0"], "--top"),
        (["{model}", "{faces}", "--tpo", "1"], "--top"),
    ],
)
def test_a_mistake_is_told_without_a_traceback_and_exits_with_2(
    arguments: list[str], message: str, folder: Path, faces: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = answer(*(text.format(model=folder, faces=faces, empty=tmp_path / "empty") for text in arguments))
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_images_become_what_the_network_takes(tmp_path: Path) -> None:
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = (255, 0, 0)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    files = [tmp_path / "wide.png"]
    (crop,), _ = predict.read_images(model((3, 20, 20)), files)
    assert (crop == np.array([255, 0, 0])[:, None, None]).all()
    (grey,), _ = predict.read_images(model((1, 20, 20)), files)
    assert grey.shape == (1, 20, 20)
    assert (grey == 76).all(), "the luma of pure red"
    (pad,), _ = predict.read_images(model((3, 20, 20), "pad"), files)
    assert (pad[:, :5] == 0).all()
    assert pad[0, 10, 10] == 255
    (stretch,), _ = predict.read_images(model((3, 20, 20), "stretch"), files)
    assert stretch[0, 10, 0] == 0
    assert stretch[0, 10, 10] == 255


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
def test_usual_formats_are_read_in_grey_and_colour(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 200, 200)).save(tmp_path / f"image.{suffix}")
    pixels, faults = predict.read_images(model((1, 8, 8)), [tmp_path / f"image.{suffix}"])
    assert not faults
    np.testing.assert_allclose(pixels, 200, atol=2)


def test_a_network_of_images_that_no_file_gives_is_told() -> None:
    for shape in ((1, 20, 30), (5, 20, 20)):
        with pytest.raises(ModelError, match="use load_model in Python"):
            predict.read_images(model(shape), [])


def test_each_file_is_answered_once_in_order(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(faces)
    assert [str(file) for file in predict.find(["2.png", "[01].png", "."])] == ["2.png", "0.png", "1.png", "more/photo.jpg"]
    (faces / "[9].png").write_bytes((faces / "0.png").read_bytes())
    assert predict.find(["[9].png"]) == [Path("[9].png")]
    with pytest.raises(DataError, match="no file fits"):
        predict.find(["*.nothing"])


def test_the_first_of_equally_probable_classes_comes_first() -> None:
    assert predict.best(model((1, 2, 2)), np.array([0.5, 0.5], np.float32), 2) == [
        {"class": "bright", "probability": 0.5},
        {"class": "dark", "probability": 0.5},
    ]
