"""`python -m ferray.export`: a trained network as a folder that can be used without its study and without its ledger."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import ferray
from ferray import atomic, command
from ferray.errors import LedgerError, ModelError, nearest
from ferray.ledger import DEFAULT_STORAGE, Ledger, catalog, file_digest, openings
from ferray.ledger.catalog import Entry, Filters
from ferray.trained_model import CODE, DESCRIPTION, FORMAT, ONNX, WEIGHTS, Model, assemble

VERIFIED_IMAGES = 256
"""So many validation or test images are computed again, to see that the network is the one that was trained."""

LEAST_AGREEMENT = 0.97
"""Of these images the exported network must see so many as the trained one did; other machines and bf16 differ in a few."""

NOTE = """{what}

Made by ferray {ferray} from trial {key}.

    python -m ferray.predict {folder} IMAGE...

or in Python:

    from ferray import load_model
    load_model("{folder}").probabilities(images)   # uint8 [n, {channels}, {height}, {width}] to [n, {classes}]

model.json        classes, preprocessing, accuracies with the number of images, config, versions
model.safetensors the weights of the selected epoch
"""
CODE_NOTE = "code/             the source of the network, which is run when the network is loaded\n"
ONNX_NOTE = "model.onnx        the same network for other programs: `images` float [n, c, h, w] in 0..255 to `probabilities` [n, classes]\n"


@dataclass(frozen=True)
class Exported:
    """Where the network lies, of which trial it is, and what there is to say about both."""

    folder: Path
    key: str
    notes: tuple[str, ...]


def main(
    which: Annotated[
        str, typer.Argument(metavar="KEY", help="The first digits of a trial's key; or STUDY or STUDY/VARIANT, for the best of its trials.")
    ],
    storage: Annotated[Path, typer.Option(help="The folder with the records.")] = Path(DEFAULT_STORAGE),
    to: Annotated[Path | None, typer.Option(help="The folder to write; model-KEY in the current one where left out.")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Writes model.onnx too.")] = False,
) -> None:
    """Writes a trained network with its config, preprocessing and class names, for ferray.predict and for other programs."""
    exported = export_trial(which, storage, to, onnx=onnx)
    print("\n".join([*exported.notes, f"python -m ferray.predict {exported.folder} IMAGE..."]))


def export_trial(
    which: str, storage: str | os.PathLike[str] = DEFAULT_STORAGE, to: str | os.PathLike[str] | None = None, *, onnx: bool = False
) -> Exported:
    """Writes the network of a trial to a folder; ``which`` is the beginning of its key, a study, or STUDY/VARIANT.

    Of a study's trials the finished one of highest validation accuracy is taken; the test set selects nothing. The rebuilt network is
    held against the probabilities in the ledger. Raises LedgerError where there is no such trial or it kept no weights, ModelError
    where the network cannot be rebuilt, is not the one that was trained, or the folder holds something else.
    """
    ledger = Ledger(storage)
    entry, choice = find(ledger, which)
    folder = Path(to) if to is not None else Path(f"model-{entry.key[: catalog.SHORTEST]}")
    _check_folder(folder, entry.key)
    weights = _weights(ledger, entry)
    description, sources = describe(ledger, entry, weights)
    description["chosen"] = choice
    model = assemble(description, weights, sources)
    notes = [choice, verify(ledger, entry, model)]
    files = {WEIGHTS: weights, **{f"{CODE}/{path}": source for path, source in sources.items()}}
    if onnx:
        files[ONNX], told = _onnx(description, weights, sources)
        notes.append(told)
    files["README.txt"] = _note(description, folder, has_code=bool(sources), has_onnx=onnx).encode()
    files[DESCRIPTION] = (json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode()  # last: it says that all is there
    try:
        for name, content in files.items():
            atomic.write(folder / name, content)
        if not onnx:
            (folder / ONNX).unlink(missing_ok=True)  # of an earlier export, which README.txt no longer tells of
    except OSError as error:
        raise ModelError(f"cannot write {folder}: {error.strerror or error}") from None
    notes += filter(None, [_log_opening(ledger, entry, description)])
    notes.append(f"{', '.join(files)} in {folder}")
    return Exported(folder, entry.key, tuple(notes))


def find(ledger: Ledger, which: str) -> tuple[Entry, str]:
    """The trial that is meant, and in a sentence how it was chosen. Raises LedgerError where there is none, or it has not finished."""
    if not ledger.exists():
        raise LedgerError(f"nothing has been run into {ledger.path}; say where the records are with --storage DIR")
    study, slash, variant = which.partition("/")
    if not slash and which not in ledger.studies():
        try:
            key = catalog.resolve(ledger, which)
        except LedgerError as error:
            raise LedgerError(f"{error}; nor is a study called so{nearest(which, ledger.studies())}") from None
        (entry,) = catalog.entries(ledger, [key])
        return entry, f"trial {key} ({entry.label}), {_accuracy_told(entry)}"
    chosen = catalog.select(ledger, Filters(study=study, variants=(variant,) if slash else ()))
    finished = [entry for entry in chosen if entry.status == "finished" and entry.accuracy is not None]
    if not finished:
        raise LedgerError(f"{which}: none of its {len(chosen)} trials has finished")
    best = min(finished, key=lambda entry: (-(entry.accuracy or 0.0), entry.seed or 0, entry.key))
    own = ", each seed judged on images of its own" if _judged_apart(ledger, finished) else ""
    how = f"the highest of {len(finished)} finished trials of {which}{own}, and so too high; the test set selected nothing"
    if len(finished) == 1:
        how = f"the only finished trial of {which}"
    return best, f"trial {best.key} ({best.label}), {_accuracy_told(best)}, {how}"


def _judged_apart(ledger: Ledger, finished: Sequence[Entry]) -> bool:
    """Whether these trials are of several seeds, each of which drew its own validation images."""
    drawn = {entry.seed for entry in finished if entry.data and ledger.data(entry.data).get("validation_split") == "seed"}
    return len(drawn) > 1


def describe(ledger: Ledger, entry: Entry, weights: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """All that model.json says, and the sources by path of a network of the user's own."""
    identity, record = ledger.trial(entry.key), ledger.record(entry.key) or {}
    data = ledger.data(identity["data"])
    config = identity["config"]
    channels, height, width = data["image_shape"]
    code: dict[str, Any] = {}
    sources: dict[str, bytes] = {}
    if "model" in identity.get("files", {}):
        code, sources = ledger.code(identity["files"]["model"])
    epoch = ledger.epoch(entry.key, record["selected_epoch"])
    normalization: dict[str, Any] = {"kind": config["input_normalization"]}
    if config["input_normalization"] == "standardize":
        normalization |= _statistics(weights)
    ran = record.get("environment") or {}
    description = {
        "format": FORMAT,
        "key": entry.key,
        "studies": [vars(place) for place in entry.places],
        "classes": data["classes"],
        "preprocessing": {
            "channels": channels,
            "height": height,
            "width": width,
            "pixels": "0..255",
            "resize": _resize(ledger, entry),
            "input_normalization": normalization,
        },
        "accuracy": _accuracies(epoch, data["counts"], _shown(entry)),
        "epoch": record["selected_epoch"],
        "parameters": record.get("parameters"),
        "data": {"name": data["name"], "fingerprint": identity["data"]},
        "config": config,
        "engine": identity["engine"],
        "code": code,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()},
        "trained_with": {name: ran.get(name) for name in ("ferray", "commit", "torch", "python", "device", "precision")},
        "exported_with": {"ferray": ferray.__version__},
    }
    return description, sources


def verify(ledger: Ledger, entry: Entry, model: Model) -> str:
    """In a sentence, how the network's probabilities of validation images compare with those in the ledger.

    Where each seed draws its validation split, of which the ledger keeps no images, they are those of test images; no label is looked at.
    Raises ModelError where they are those of another network, as when a library that it stands on has changed.
    """
    try:
        kept = ledger.evaluation(entry.data or "")
        split = "validation" if "validation_images" in kept else "test"
        images = kept[f"{split}_images"][:VERIFIED_IMAGES]
        trained = (ledger.predictions(entry.key) or {})[f"{split}_selected"][: len(images)]
    except (LedgerError, KeyError):
        return "not verified: the ledger has no validation or test images with probabilities of this trial"
    if images.shape[1:] != model.image_shape:
        return f"not verified: the ledger keeps the {split} images in a smaller size only"
    found = model.probabilities(images)
    apart = float(np.abs(found - trained).max())
    agreement = float((found.argmax(axis=1) == trained.argmax(axis=1)).mean())
    told = f"its probabilities of {len(images)} {split} images differ from those of the training by at most {apart:.2g}"
    if agreement < LEAST_AGREEMENT:
        raise ModelError(
            f"the rebuilt network is not the one that was trained: {told}, and the class is the same for {agreement:.0%} of them. "
            "A library that it stands on may have changed"
        )
    return f"verified: {told}, and the class is the same for {agreement:.1%} of them"


def _weights(ledger: Ledger, entry: Entry) -> bytes:
    record = ledger.record(entry.key)
    if record is None or record["status"] == "failed" or not record.get("selected_epoch"):
        raise LedgerError(f"trial {entry.key} ({entry.label}) is {entry.status}, so there is no trained network of it")
    file = ledger.weights_file(entry.key)
    if not file.exists():
        again = f"python -m ferray.ledger rerun {entry.key[:12]} --keep-weights --storage {ledger.path}"
        raise LedgerError(
            f"trial {entry.key} ({entry.label}) kept no weights; write keep_weights: true in the study for trials to come, "
            f"and for this one: {again}"
        )
    expected = record["digests"].get(file.name)
    if expected != file_digest(file):
        raise LedgerError(f"{file} is damaged: it is not as it was written; python -m ferray.ledger rerun {entry.key[:12]} trains it again")
    return file.read_bytes()


def _statistics(weights: bytes) -> dict[str, list[float]]:
    from safetensors.numpy import load

    tensors = load(weights)
    return {name: tensors[f"input.{name}"].ravel().tolist() for name in ("mean", "deviation") if f"input.{name}" in tensors}


def _resize(ledger: Ledger, entry: Entry) -> str:
    """How images of other proportions became squares, as any study on the same data tells."""
    for name in [place.study for place in entry.places]:
        source = ledger.study(name).get("settings", {}).get("data", {})
        if isinstance(source, dict) and "resize" in source:
            return str(source["resize"])
    return "crop"


def _shown(entry: Entry) -> tuple[str, ...]:
    """The splits whose figures go along: a trial that only helped to choose has none on test."""
    is_tuning = bool(entry.places) and all(place.phase == "tuning" for place in entry.places)
    return ("validation",) if is_tuning else ("validation", "test")


def _log_opening(ledger: Ledger, entry: Entry, description: Mapping[str, Any]) -> str | None:
    """Tells the studies that the figures on test are seen; what is wrong where that cannot be written down."""
    if "test" not in description["accuracy"]:
        return None
    try:
        for place in entry.places:
            openings.record(ledger, place.study, "export", {entry.key: place.label})
    except LedgerError as error:
        return f"that its figures on test were opened could not be written down: {error}"
    return None


def _accuracies(
    epoch: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]], splits: tuple[str, ...]
) -> dict[str, dict[str, float | int]]:
    """Accuracy and macro-F1 at the selected epoch by split, with the number of images that they are of."""
    return {
        split: {"accuracy": epoch[f"{split}_accuracy"], "macro_f1": epoch[f"{split}_macro_f1"], "n": sum(counts[split].values())}
        for split in splits
        if epoch.get(f"{split}_accuracy") is not None
    }


def _accuracy_told(entry: Entry) -> str:
    return "without a validation accuracy" if entry.accuracy is None else f"validation accuracy {entry.accuracy:.4f}"


def _onnx(description: Mapping[str, Any], weights: bytes, sources: Mapping[str, bytes]) -> tuple[bytes, str]:
    from ferray import onnx_file

    content = onnx_file.dump(description, weights, sources)
    in_float32 = {**description, "config": {**description["config"], "precision": "fp32"}}
    apart = onnx_file.difference(content, assemble(in_float32, weights, sources))
    if apart is None:
        return content, f"{ONNX} was not compared with torch, since onnxruntime is not installed"
    if apart > onnx_file.TOLERANCE:
        raise ModelError(f"{ONNX} computes other probabilities than torch: they differ by up to {apart:.2g}")
    return content, f"{ONNX} and torch, both in float32, differ by at most {apart:.1g}"


def _check_folder(folder: Path, key: str) -> None:
    """Refuses a folder that holds anything but an earlier export of the same trial."""
    if folder.is_file():
        raise ModelError(f"--to {folder}: is a file; give a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        there = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")).get("key")
    except (OSError, ValueError, AttributeError):
        there = None
    if there != key:
        what = f"the network of trial {there}" if there else "other files"
        raise ModelError(f"{folder} holds {what}; give another folder with --to DIR, or remove it")


def _note(description: Mapping[str, Any], folder: Path, *, has_code: bool, has_onnx: bool) -> str:
    shape = description["preprocessing"]
    figures = [f"{split} accuracy {one['accuracy']:.4f} (n = {one['n']})" for split, one in description["accuracy"].items()]
    what = f"A network ({description['config']['model']}) that tells {', '.join(description['classes'])}: {', '.join(figures)}."
    sizes = {name: shape[name] for name in ("channels", "height", "width")}
    told = NOTE.format(
        what=what, ferray=ferray.__version__, key=description["key"], folder=folder.name, classes=len(description["classes"]), **sizes
    )
    return told + (CODE_NOTE if has_code else "") + (ONNX_NOTE if has_onnx else "")


if __name__ == "__main__":
    command.run(main)
