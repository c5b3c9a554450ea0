"""`python -m ferray.predict`: what a trained network sees in images, prepared as those that it was trained on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ferray import command
from ferray.data.decoding import decode
from ferray.data.files import IMAGE_SUFFIXES, Files
from ferray.errors import DataError, ModelError
from ferray.trained_model import BATCH, Model, load_model


def main(
    model: Annotated[Path, typer.Argument(help="A folder that python -m ferray.export wrote, or the model.onnx in it.")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files, folders of them, or patterns like 'faces/*.png'.")],
    top: Annotated[int, typer.Option(min=1, help="So many classes of each image.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="So many images are computed at once.")] = BATCH,
) -> None:
    """Prints the class of each image and its probability. An image that cannot be read is named, and the status is then 1."""
    files = find(images)
    network = load_model(model)
    top = min(top, len(network.classes))
    faults = 0
    found: list[dict[str, Any]] = []
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        pixels, unreadable = read_images(network, batch)
        probabilities = iter(network.probabilities(pixels, batch_size=batch_size))
        for number, file in enumerate(batch):
            if number in unreadable:
                found.append({"image": str(file), "error": unreadable[number]})
            else:
                found.append({"image": str(file), "classes": best(network, next(probabilities), top)})
        faults += len(unreadable)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _show([one for one in found if "classes" in one])
        for one in found:
            if "error" in one:
                print(f"{one['image']}: cannot be read: {one['error']}", file=sys.stderr)
    if faults:
        sys.exit(1)


def find(given: Iterable[str]) -> list[Path]:
    """The files that names, folders and patterns mean, each once: those of a folder, of all its folders, sorted.

    A name that is no file is kept, so that it is told like an image that cannot be read. Raises DataError where a folder holds no image
    or a pattern fits nothing.
    """
    files: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
            if not below:
                raise DataError(f"{name}: no image in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
            files |= dict.fromkeys(below)
        elif any(mark in name for mark in "*?[") and not path.exists():
            fitting = sorted(file for file in _fitting(name) if not file.is_dir())
            if not fitting:
                raise DataError(f"{name}: no file fits this pattern")
            files |= dict.fromkeys(fitting)
        else:
            files[path] = None
    return list(files)


def read_images(network: Model, files: Sequence[Path]) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """The images that can be read, as the network takes them, uint8 [n, channels, height, width], and why the others cannot, by place.

    They are decoded, turned to grey or colour and resized as an image folder is for a study. Raises ModelError where the network takes
    what no image file gives.
    """
    channels, height, width = network.image_shape
    if height != width or channels not in (1, 3):
        shape = f"{channels} channels and {width}x{height} pixels"
        raise ModelError(f"the network takes images of {shape}, and files are read as squares of 1 or 3 channels; use load_model in Python")
    images = np.zeros((len(files), channels, height, width), np.uint8)
    faults = {number: "no such file" for number, file in enumerate(files) if not file.is_file()}
    folders: dict[Path, list[int]] = {}
    for number, file in enumerate(files):
        if number not in faults:
            folders.setdefault(file.parent, []).append(number)
    groups = list(folders.values())
    while groups:
        numbers = groups.pop()
        names = [files[number].name for number in numbers]
        try:
            pixels, unreadable = _decode(network, files[numbers[0]].parent, names)
        except DataError as error:  # of one file that cannot be opened, which is then found by itself
            if len(numbers) == 1:
                faults[numbers[0]] = str(error)
            else:
                groups += [[number] for number in numbers]
            continue
        images[numbers] = pixels
        faults |= {numbers[place]: why for place, why in unreadable.items()}
    return images[[number not in faults for number in range(len(files))]], dict(sorted(faults.items()))


def _decode(network: Model, folder: Path, names: list[str]) -> tuple[NDArray[np.uint8], dict[int, str]]:
    channels, size, _ = network.image_shape
    resize = cast('Literal["crop", "pad", "stretch"]', network.description["preprocessing"]["resize"])
    decoded = decode(Files(folder, only=names), names, size=size, resize=resize, color="grey" if channels == 1 else "rgb")
    return decoded.images, decoded.faults


def _fitting(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


def best(network: Model, probabilities: NDArray[np.float32], top: int) -> list[dict[str, str | float]]:
    """The most probable classes, the first among equals first, with their probabilities."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [{"class": network.classes[index], "probability": round(float(probabilities[index]), 6)} for index in order]


def _show(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        return
    if not sys.stdout.isatty():
        print("\n".join("\t".join([one["image"], *_cells(one)]) for one in found))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("image", overflow="fold")
    for _ in found[0]["classes"]:
        table.add_column("class")
        table.add_column("probability", justify="right")
    for one in found:
        table.add_row(*(cell.replace("[", "\\[") for cell in [one["image"], *_cells(one)]))
    Console(highlight=False).print(table)


def _cells(one: dict[str, Any]) -> Iterator[str]:
    for each in one["classes"]:
        yield str(each["class"])
        yield f"{each['probability']:.4f}"


if __name__ == "__main__":
    command.run(main)
