"""Forms: what a path holds, found out by content, whatever the files are called and whatever lies around them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ferray.data.dataset import split_named
from ferray.data.files import IMAGE_SUFFIXES, TABLE_SUFFIXES, Files, examples, kinds
from ferray.data.table import Table, read_header
from ferray.errors import DataError, nearest

PIXEL_COLUMNS = ("pixels", "feature", "features", "pixel")
PATH_COLUMNS = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "img_path", "image_file", "image_name", "image",
    "images", "img", "img_name", "imagename", "name", "image_id", "id",
)  # fmt: skip
LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "category",
    "target",
    "emotion",
    "expression",
    "species",
    "breed",
    "y",
)
SPLIT_COLUMNS = ("split", "usage", "set", "subset", "partition", "phase")
FER2013_TABLES = ("fer2013.csv", "icml_face_data.csv")
"""Which of several tables of the whole set is read, best first."""

USAGES = ("Training", "PublicTest", "PrivateTest")
"""FER2013's own words for training, validation and test."""

FER2013_FORMS = (
    "accepted are: fer2013.zip or the folder unzipped from it, with files such as train/happy/Training_123.jpg, "
    "test/happy/PublicTest_123.jpg and test/happy/PrivateTest_123.jpg; fer2013.csv or icml_face_data.csv with the columns emotion, pixels "
    "and Usage; train.csv (emotion and pixels, or label and feature) with test.csv; a zip or folder that holds any of these"
)
IMAGE_FORMS = (
    "accepted are: a folder with one folder of images per class, or with such folders in train/ and, if there are, validation/ and test/; "
    "a CSV file of paths and labels beside the images; a zip of either"
)


@dataclass(frozen=True)
class Form:
    """What was found: FER2013 as a table of pixels or as a tree of named images, or images with a table of them or in class folders.

    ``tables`` are by split; one that tells the split of each row, or leaves it open, is there as ``all``.
    """

    kind: Literal["pixels", "tree", "listing", "folders"]
    files: Files
    tables: Mapping[str, Table]
    notes: tuple[str, ...] = ()

    @property
    def is_fer2013(self) -> bool:
        """Whether it is FER2013."""
        return self.kind in ("pixels", "tree")


def find(path: Path, source: str) -> Form:
    """What lies at a path; ``source`` is ``fer2013`` or ``images`` where the user says so, else ``auto``.

    Raises DataError that says what is there instead, and which forms are accepted.
    """
    accepted = {"fer2013": FER2013_FORMS, "images": IMAGE_FORMS}.get(source, f"FER2013: {FER2013_FORMS}. Other images: {IMAGE_FORMS}")
    try:
        if not path.exists():
            siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"{path}: no such file or folder{nearest(path.name, siblings) or f'; {accepted}'}")
        is_folder = path.is_dir()
        if not is_folder and not path.is_file():  # to open a named pipe would wait for ever
            raise DataError(f"{path}: neither a folder nor a regular file; {accepted}")
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not is_folder and path.suffix.lower() in TABLE_SUFFIXES:
        return _of_table(path, source, accepted)
    if not is_folder and path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        raise DataError(f"{path}: neither a folder, a zip nor a .csv file; {accepted}")
    files = Files(path)
    form = _of_files(files, source)
    if form is None and is_folder:
        form = _of_zips(files, source)
    if form is None:
        kind = {"fer2013": "no image of FER2013", "images": "no image"}.get(source, "no image and no table of images")
        raise DataError(f"{path}: holds {kind} ({kinds(files.places)}); {accepted}")
    return form


def _of_table(path: Path, source: str, accepted: str) -> Form:
    alone = Files(path.parent, [path.name])
    table = read_header(alone, path.name)
    if table.column(PIXEL_COLUMNS) is not None and source != "images":
        if split_named(path.stem) == "train" and _usage(table) is None:
            others = [item for item in path.parent.iterdir() if item.suffix.lower() in TABLE_SUFFIXES]
            beside = [item.name for item in others if split_named(item.stem) not in (None, "train")]
            files = Files(path.parent, [path.name, *beside])
            tables = [read_header(files, place) for place in files.places]
            return _of_pixels(files, [table for table in tables if table.column(PIXEL_COLUMNS) is not None])
        return _of_pixels(alone, [table])
    if _is_listing(table) and source != "fer2013":
        files = Files(path.parent)
        return Form("listing", files, {"all": read_header(files, path.name)})
    found = examples(table.header, 8)[:200] or "nothing"
    wanted = {"fer2013": "no column pixels", "images": "no column of paths and one of labels"}.get(source, "neither pixels nor paths")
    raise DataError(f"{table.where}, line 1: {wanted} (found: {found}); {accepted}")


def _of_files(files: Files, source: str) -> Form | None:
    tables, faults = [], []
    for place in files.of(TABLE_SUFFIXES):
        try:
            tables.append(read_header(files, place))
        except DataError as fault:
            faults.append(fault)
    pixels = [table for table in tables if table.column(PIXEL_COLUMNS) is not None]
    if pixels and source != "images":
        return _of_pixels(files, pixels)
    images = files.of(IMAGE_SUFFIXES)
    if images:
        begins = tuple(f"{usage}_" for usage in USAGES)
        named = sum(place.rpartition("/")[2].startswith(begins) for place in images)
        if source == "fer2013" or (source == "auto" and named > len(images) / 2):
            return Form("tree", files, {})
        listings = [table for table in tables if _is_listing(table) and _leads_to_images(table)]
        return _of_listings(files, listings) if listings else Form("folders", files, {})
    if faults:
        raise faults[0]
    return None


def _of_zips(files: Files, source: str) -> Form | None:
    """The one zip of a folder that holds something; fer2013.zip before others."""
    zips = sorted(files.of({".zip"}), key=lambda place: (PurePosixPath(place).name.lower() != "fer2013.zip", place))
    found = {}
    faults = []
    for place in zips:
        try:
            form = _of_files(Files(files.path / place), source)
        except DataError as fault:
            faults.append(fault)
            continue
        if form is not None:
            found[place] = form
            if PurePosixPath(place).name.lower() == "fer2013.zip":
                break
    if len(found) > 1:
        raise DataError(f"{files.path}: holds several data sets, {examples(found, 5)}; give the path of one of them")
    if not found and faults:
        raise faults[0]
    return next(iter(found.values()), None)


def _of_pixels(files: Files, tables: list[Table]) -> Form:
    """Of several tables that with a column of usages, else training with what else there is by the files' names."""
    whole = sorted((table for table in tables if _usage(table) is not None and _label(table) is not None), key=_rank)
    chosen: dict[str, Table] = {}
    if whole:
        chosen["all"] = whole[0]
    else:
        labelled = [table for table in tables if _label(table) is not None]
        for table in tables:
            split = split_named(PurePosixPath(table.place).stem) or ("train" if labelled == [table] else None)
            if split is None or (split != "test" and _label(table) is None):
                continue
            if split in chosen:
                raise DataError(
                    f"{files.path}: both {chosen[split].place} and {table.place} may be {split}; give a folder with one of them"
                )
            chosen[split] = table
        if "train" not in chosen:
            if labelled:
                raise DataError(f"{labelled[0].where}: is not training, by its name, and no train.csv was read beside it; {FER2013_FORMS}")
            found = f"{tables[0].where}, line 1: no column emotion or label (found: {examples(tables[0].header, 8)[:200]})"
            raise DataError(f"{found}; {FER2013_FORMS}")
    used = [table.place for table in chosen.values()]
    left = [table.place for table in tables if table.place not in used]
    notes = (f"{examples(used)} was read; {examples(left)} beside it was not",) if left else ()
    if not files.is_zip:
        files = Files(files.path, used)
        chosen = {split: read_header(files, table.place) for split, table in chosen.items()}
    return Form("pixels", files, chosen, notes)


def _of_listings(files: Files, listings: list[Table]) -> Form:
    """One table of all images, or one for each split by the files' names."""
    by_split: dict[str, Table] = {}
    for table in listings:
        split = split_named(PurePosixPath(table.place).stem)
        if split is not None and by_split.setdefault(split, table) is not table:
            raise DataError(f"{files.path}: both {by_split[split].place} and {table.place} may be {split}; give the path of one table")
    if "train" in by_split:
        return Form("listing", files, by_split)
    if len(listings) > 1:
        names = examples([table.place for table in listings], 5)
        raise DataError(f"{files.path}: holds several tables of images, {names}; give the path of one of them")
    return Form("listing", files, {"all": listings[0]})


def _is_listing(table: Table) -> bool:
    names = table.names
    if "contempt" in names and "nf" in names:  # FER+ votes
        return False
    has_label = _label(table) is not None or split_named(PurePosixPath(table.place).stem) == "test"
    return table.column(PATH_COLUMNS) is not None and (has_label or len(names) == 2) and table.column(PIXEL_COLUMNS) is None


def _leads_to_images(table: Table) -> bool:
    """Whether the first row of a table names an image that is there; other tables may lie beside images too."""
    column = table.column(PATH_COLUMNS)
    stems = {PurePosixPath(place).stem for place in table.files.of(IMAGE_SUFFIXES)}
    try:
        row = next(iter(table.rows()), None)
    except DataError:
        return True  # reading will tell
    return row is not None and column is not None and PurePosixPath(row[1][column].replace("\\", "/")).stem in stems


def _label(table: Table) -> int | None:
    return table.column(LABEL_COLUMNS)


def _usage(table: Table) -> int | None:
    return table.column(("usage",))


def _rank(table: Table) -> tuple[int, str]:
    name = PurePosixPath(table.place).name.lower()
    return (FER2013_TABLES.index(name) if name in FER2013_TABLES else len(FER2013_TABLES), table.place)
