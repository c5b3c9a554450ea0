"""Loaders of the user's own: what they may return, what they are told where they return something else, and how studies find them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ferray.data import Dataset, load
from ferray.data import loader as loaders
from ferray.data_source import DataSource
from ferray.errors import ConfigError, DataError
from ferray.study import Study

GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
LABELS = np.arange(20) % 2
HEADER = "import numpy as np\nimages = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)\nlabels = np.arange(20) % 2\n"


def write(folder: Path, body: str, name: str = "load.py") -> Path:
    (folder / name).write_text(HEADER + body, encoding="utf-8")
    return folder


def own(folder: Path, **settings: Any) -> Dataset:
    return load(DataSource(**{"source": "./load.py:load", **settings}), folders=[folder])


class Tensor:
    """As far as a loader's result goes, what torch's tensors are."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> np.ndarray[Any, Any]:
        return self.values


class TorchvisionLike:
    """A data set as torchvision has them: items are a picture and a number, and it names its classes."""

    classes = ("left", "right")

    def __init__(self, images: Any = COLOUR) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.images[number]), number % 2


@pytest.fixture
def returning(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    """What becomes of a value that a loader returns."""

    def made(value: Any, **settings: Any) -> Dataset:
        class Found:
            def load(self) -> Callable[[], Any]:
                return lambda: value

        monkeypatch.setattr("ferray.code.find", lambda reference, folders: Found())
        return loaders.load(DataSource(source="./load.py:load", **settings), [], None)

    return made


def test_a_loader_is_found_beside_the_study_and_gets_its_arguments(tmp_path: Path) -> None:
    write(tmp_path, "def load(side):\n    return {'train': (images[:, :side], labels), 'classes': ['a', 'b']}\n")
    (tmp_path / "own.yaml").write_text("data: {source: './load.py:load', arguments: {side: 4}}\n")
    data = Study.load(tmp_path / "own.yaml").load_data()
    assert (data.classes, data.image_shape, data.synthetic) == (("a", "b"), (1, 4, 5), False)
    assert {split: list(by_class.values()) for split, by_class in data.counts.items()} == {
        "train": [6, 8], "validation": [2, 1], "test": [2, 1],
    }  # fmt: skip
    assert any(note.startswith("there is no validation split") for note in data.notes)


def test_a_path_is_passed_on(tmp_path: Path) -> None:
    write(tmp_path, "def load(path):\n    return {'train': (np.load(path), labels)}\n")
    np.save(tmp_path / "images.npy", GREY)
    assert own(tmp_path, path="images.npy").fingerprint == own(tmp_path, path=str(tmp_path / "images.npy")).fingerprint


@pytest.mark.parametrize(
    "train",
    [
        (GREY, LABELS),
        [GREY, LABELS.tolist()],
        (GREY[..., None], LABELS),
        (GREY[:, None], LABELS.astype(np.uint8)),
        (GREY.astype(np.int64), LABELS),
        (GREY.astype(np.float32) / 255, LABELS),
        (Tensor(GREY), Tensor(LABELS)),
        (list(GREY), LABELS),
        list(zip(GREY, LABELS, strict=True)),
        [(Image.fromarray(image), int(label)) for image, label in zip(GREY, LABELS, strict=True)],
        [(Tensor(image[None] / 255), label) for image, label in zip(GREY, LABELS, strict=True)],
        TorchvisionLike(GREY),
    ],
)
def test_every_way_of_giving_the_same_images_gives_the_same_arrays(returning: Callable[..., Dataset], train: Any) -> None:
    data = returning({"train": train, "validation": (GREY[:4], LABELS[:4]), "classes": ["left", "right"]}, test_share=0.0)
    np.testing.assert_array_equal(data.train.images[:, 0], GREY)
    assert data.train.labels.tolist() == LABELS.tolist()
    assert data.train.images.flags.c_contiguous


@pytest.mark.parametrize("train", [(COLOUR, LABELS), (COLOUR.transpose(0, 3, 1, 2), LABELS), TorchvisionLike()])
def test_colours_may_come_first_or_last(returning: Callable[..., Dataset], train: Any) -> None:
    data = returning({"train": train, "validation": (COLOUR, LABELS)}, test_share=0.0)
    np.testing.assert_array_equal(data.train.images, COLOUR.transpose(0, 3, 1, 2))


def test_torch_tensors_and_torchvision_data_sets_are_taken(returning: Callable[..., Dataset]) -> None:
    torch = pytest.importorskip("torch")
    tensors = (torch.tensor(COLOUR).permute(0, 3, 1, 2) / 255, torch.tensor(LABELS))
    first = returning({"train": tensors, "validation": TorchvisionLike(), "classes": TorchvisionLike.classes}, test_share=0.0)
    np.testing.assert_array_equal(first.train.images, first.validation.images)
    np.testing.assert_array_equal(first.train.images, COLOUR.transpose(0, 3, 1, 2))


def test_classes_are_named_by_the_loader_the_data_set_or_the_labels(returning: Callable[..., Dataset]) -> None:
    assert returning({"train": (GREY, LABELS), "classes": ("x", "y")}).classes == ("x", "y")
    assert returning({"train": TorchvisionLike()}).classes == ("left", "right")
    numbered = returning({"train": (GREY, LABELS * 9 + 2), "validation": (GREY[:2], [11, 2])}, test_share=0.0)
    assert (numbered.classes, numbered.validation.labels.tolist()) == (("2", "11"), [1, 0])
    folders = returning({"train": (GREY, LABELS), "validation": (GREY[:2], [1, 0]), "classes": ("2", "10")}, test_share=0.0)
    assert (folders.classes, folders.validation.labels.tolist()) == (("2", "10"), [1, 0])
    told = returning({"train": (GREY, LABELS * 9 + 2), "validation": (GREY[:2], [11, 2]), "classes": ("11", "2")}, test_share=0.0)
    assert (told.classes, told.validation.labels.tolist()) == (("11", "2"), [0, 1])
    named = returning({"train": (GREY, ["cat", "ape"] * 10), "validation": (GREY[:2], ["cat", "ape"])}, test_share=0.0)
    assert (named.classes, named.validation.labels.tolist()) == (("ape", "cat"), [1, 0])


@pytest.mark.parametrize("test", [(GREY[:4], None), [(image, None) for image in GREY[:4]]])
def test_the_test_split_may_have_no_labels(returning: Callable[..., Dataset], test: Any) -> None:
    data = returning({"train": (GREY, LABELS), "test": test})
    assert data.test.labels.tolist() == [-1] * 4
    assert data.missing == {"test": "the loader gives no labels for the test images"}


def test_a_dataset_of_ferrays_is_taken_with_the_fingerprint_of_its_content(returning: Callable[..., Dataset]) -> None:
    made = load(DataSource(images=70))
    taken = returning(dataclasses.replace(made, fingerprint="mine", notes=("drawn",)))
    assert taken.fingerprint == made.fingerprint
    assert (taken.name, taken.notes, taken.synthetic) == (made.name, ("drawn",), True)
    with pytest.raises(DataError, match=r"labels must lie in 0\.\.1"):
        returning(dataclasses.replace(made, classes=("happy", "sad")))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "./load.py:load: returned a NoneType; a loader returns a ferray Dataset, or a mapping with train"),
        ([GREY, LABELS], "returned a list"),
        ({"trian": (GREY, LABELS)}, "returned 'trian'; did you mean 'train'?"),
        ({"validation": (GREY, LABELS)}, "returned no train"),
        ({"train": GREY}, "train[0]: is a ndarray, not a pair (image, label)"),
        ({"train": 3}, "train: is a int; a loader returns"),
        ({"train": (GREY, LABELS[:-1])}, "train: labels must be [20], one for each image, not [19]"),
        ({"train": (GREY, None)}, "train: has no labels; only test may be without them"),
        ({"train": (GREY[0], LABELS)}, "train: images must be [n, height, width]"),
        ({"train": (GREY.reshape(20, 3, 2, 5)[:, :2], LABELS)}, "train: images must have 1 or 3 channels"),
        (
            {"train": (GREY.astype(np.float32), LABELS)},
            "train: images with a fraction must lie in 0..1, not 0..255; give them before any norm",
        ),
        ({"train": (GREY.astype(np.int64) - 1, LABELS)}, "train: whole numbers of images must lie in 0..255, not -1..254"),
        ({"train": (GREY.astype(str), LABELS)}, "train: images must be numbers"),
        ({"train": (GREY, LABELS / 2)}, "train: a label is a whole number or a class's name, not 0.0"),
        ({"train": (GREY, LABELS), "classes": "ab"}, "classes must be a list of names, not a str"),
        ({"train": (GREY, LABELS), "classes": ["a", "a"]}, "classes must differ, not a, a"),
        ({"train": (GREY, LABELS), "classes": ["a"]}, "train[1]: label 1 must lie in 0..0, the places of the classes"),
        ({"train": (GREY, ["cat", "dgo"] * 10), "classes": ["cat", "dog"]}, "train[1]: 'dgo' is no class; did you mean 'dog'?"),
        ({"train": (GREY, LABELS), "test": (GREY, LABELS + 1)}, "test[1]: 2 is no class; there are 0, 1"),
        ({"train": (GREY, LABELS * 0)}, "has one class only, '0'"),
        ({"train": [(GREY[0], 0), (GREY[0][:3], 1)]}, "train[1]: the image is [3, 5], but the first one [6, 5]; all must have one size"),
        ({"train": (GREY, LABELS), "validation": (GREY[:, :3], LABELS)}, "images of one dataset must have one shape"),
        ({"train": []}, "holds no training image"),
    ],
)
def test_what_a_loader_returns_wrongly_is_told(returning: Callable[..., Dataset], value: Any, message: str) -> None:
    with pytest.raises(DataError) as raised:
        returning(value, test_share=0.0)
    assert message in str(raised.value)


def test_a_loader_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "def load(side=3):\n    raise KeyError('x')\n")
    with pytest.raises(DataError, match=r"\./load\.py:load: called as load\(side=5\), it raised KeyError: 'x' \(load\.py, line 5\)"):
        own(tmp_path, arguments={"side": 5})
    with pytest.raises(DataError, match=r"it raised TypeError: load\(\) got an unexpected keyword argument 'sied'"):
        own(tmp_path, arguments={"sied": 5})
    write(
        tmp_path,
        "class Lazy(list):\n    def __getitem__(self, number):\n        return {}['x']\ndef load():\n    return {'train': Lazy('abc')}\n",
    )
    with pytest.raises(DataError, match=r"\./load\.py:load: train\[0\]: it raised KeyError: 'x' \(load\.py, line 6\)"):
        own(tmp_path)


def test_a_loader_that_looks_beside_its_own_file_is_told_of_the_path(tmp_path: Path) -> None:
    write(tmp_path, "from pathlib import Path\ndef load():\n    return np.load(Path(__file__).with_name('faces.npy'))\n")
    with pytest.raises(
        DataError, match=r"FileNotFoundError: .*faces\.npy' \(load\.py, line 6\); a loader runs from a copy of its file, so"
    ):
        own(tmp_path)


def test_a_loader_that_is_not_there_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, "def load():\n    pass\n")
    with pytest.raises(ConfigError, match=r"no such file; did you mean 'load\.py'"):
        own(tmp_path, source="./laod.py:load")
    with pytest.raises(ConfigError, match="has no laod; did you mean 'load'"):
        own(tmp_path, source="./load.py:laod")


def test_near_identical_images_of_a_loader_are_told(returning: Callable[..., Dataset]) -> None:
    notes = returning({"train": (GREY, LABELS), "validation": (GREY[:3], 1 - LABELS[:3])}, test_share=0.0).notes
    assert notes[-1].startswith(
        "3 of 3 validation images are near-identical to a training image, 3 of them of another class; for example vali"
    )


def test_settings_that_a_loader_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.image_size: has no effect on a loader of your own"):
        own(tmp_path, image_size=3)
    with pytest.raises(DataError, match=r"data\.images: is for synthetic faces"):
        own(write(tmp_path, "def load():\n    return {'train': (images, labels)}"), images=100)
