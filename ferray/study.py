"""A study: what one YAML file describes, and the plan of trials that it needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from ferray import designs, search, study_file
from ferray.attachments import Finder
from ferray.config import Config, Frozen, NotNegative, Positive, Probability, digest, field_names, flatten, merge, overlay, trial_key
from ferray.data_source import DataSource
from ferray.errors import ConfigError, explain
from ferray.trial import Trial

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.runner import Outcome

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=100)]
MOST_SEEDS = 100_000
Seeds = (
    Annotated[int, Field(ge=1, le=MOST_SEEDS)]
    | Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1, max_length=MOST_SEEDS)]
)
SET_BY_THE_STUDY = {"seed": "`seeds`", "device": "`gpus`"}


class Published(Frozen):
    """Accuracies from the literature, printed beside a variant's own."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """That they were trained for; shorter trainings are not held against them."""
    validation: Probability | None = None
    """Accuracy on the validation split, 0..1."""
    test: Probability | None = None
    """Accuracy on the test split, 0..1."""


class Ablation(Frozen):
    """Which factors are taken away, and how variants are formed from them."""

    design: Literal["path"] = "path"
    """path: one factor after the other, each on top of those before it."""
    remove: Annotated[list[str | list[str]], Field(min_length=1)]
    """Factors, or lists of factors that go together, in the order of their removal."""


class Study(Frozen):
    """What one study file describes. ``Study(...)`` takes the same fields; faults raise ConfigError."""

    name: Name
    """Of the study's folder and report; the file's name where it is left out."""
    title: str | None = None
    """Of the report."""
    data: DataSource = DataSource()
    """Where the images come from; a word such as `fer2013` is short for `{source: fer2013}`."""
    base: dict[str, Any] = Field(default_factory=dict)
    """Fields of the config, common to all variants."""
    baseline: Name = "baseline"
    """What the base config is called among the variants."""
    variants: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """Name: overrides on the base."""
    ablate: Ablation | None = None
    """What is taken away from the base."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Field of the config: domain, a one-key mapping called like a function of ray.tune."""
    num_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Draws of the searched fields, for each point of the grid."""
    search_seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""
    seeds: Seeds = 1
    """How many (0, 1, ...), or which; the same for every variant."""
    cpus: Positive | None = None
    """Processors that Ray sets aside for each trial; as many as its `threads` where left out."""
    gpus: NotNegative = 0.0
    """GPUs, or a fraction of one, for each trial; 0 trains on processors."""
    keep_weights: bool = True
    """Keeps each trial's weights at its selected epoch, for `python -m ferray.export`."""
    published: dict[Name, Published] = Field(default_factory=dict)
    """Accuracies from the literature by variant."""

    _folder: Path | None = PrivateAttr(default=None)

    def __init__(self, /, **fields: Any) -> None:
        where = f"study {fields.get('name', '')!r}"
        _check_names(fields, where)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise explain(error, where=where, fields=_known_fields(fields)) from None

    def __eq__(self, other: object) -> bool:
        """Whether two studies say the same, wherever their files lie."""
        return isinstance(other, Study) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    @field_validator("data", mode="before")
    @classmethod
    def _named_source(cls, data: Any) -> Any:
        return {"source": data} if isinstance(data, str) else data

    @field_validator("seeds", mode="wrap")
    @classmethod
    def _number_or_list(cls, given: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(given)
        except ValidationError:  # it would tell of each of the two ways by itself
            raise ValueError(f"how many (a whole number from 1 to {MOST_SEEDS:,}), or a list of them") from None

    @field_validator("base", "search")
    @classmethod
    def _leave_to_the_study(cls, given: dict[str, Any]) -> dict[str, Any]:
        for field in (name.partition(".")[0] for name in given):
            if field in SET_BY_THE_STUDY:
                raise ValueError(f"{field} is set by the study's {SET_BY_THE_STUDY[field]}")
        return given

    @field_validator("variants")
    @classmethod
    def _leave_all_to_the_study(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: cls._leave_to_the_study(overrides) for name, overrides in given.items()}

    @model_validator(mode="after")
    def _check(self) -> Study:
        """Builds every config that can be known without drawing, so that a fault shows before anything runs."""
        if not isinstance(self.seeds, int) and len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: each seed once, not {self.seeds}")
        self._config(designs.Variant(self.baseline), {}, seed=0)
        variants = self.all_variants()
        names = [variant.name for variant in variants]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"variants: two are called {', '.join(sorted(twice))}; the base is called {self.baseline!r} (see `baseline`)")
        alike: dict[str, str] = {}
        domains = search.domains(self.search)
        for variant in variants:
            first = alike.setdefault(digest(self._config(variant, {}, seed=0).model_dump()), variant.name)
            if first != variant.name:
                raise ValueError(f"variants: {first!r} and {variant.name!r} have the same settings, so there is nothing to compare")
            for domain in domains:
                for value in domain.examples():
                    self._config(variant, {domain.field: value}, seed=0)
        unknown = sorted(set(self.published) - set(names))
        if unknown:
            raise ValueError(f"published: no variant is called {', '.join(unknown)} (there are: {', '.join(names)})")
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Study:
        """Reads a study file; ``overrides`` are ``NAME=VALUE`` settings such as ``base.epochs=3``. Raises ConfigError."""
        _, content = study_file.read(Path(path))
        if "data" in content:  # in its long form, so that data.subset=100 reaches into it
            content = {**content, "data": cls._named_source(content["data"])}
        content = study_file.override(content, overrides)
        content.setdefault("name", Path(path).stem)
        try:
            study = cls(**content)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        study._folder = Path(path).absolute().parent
        return study

    @property
    def folders(self) -> list[Path]:
        """Where files that the study names are looked for: beside the study file, then in the current folder."""
        here = Path.cwd()
        return [here] if self._folder in (None, here) else [self._folder, here]

    def beside(self, folder: Path | None) -> Study:
        """The same study as if its file lay in the given folder, where the files that it names are then looked for."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def located(self, path: str | os.PathLike[str] | None) -> Study:
        """The same study with its data at another place."""
        return self.model_copy(update={"data": self.data.located(None if path is None else os.fspath(path))})

    def all_variants(self) -> list[designs.Variant]:
        """The base first, then the design's variants, then the named ones."""
        designed = designs.path(self._base(), self.ablate.remove) if self.ablate else []
        named = [designs.Variant(name, overrides) for name, overrides in self.variants.items()]
        return [designs.Variant(self.baseline), *designed, *named]

    def plan(self, data: Dataset | None = None) -> list[Trial]:
        """Every trial that the study needs, variant by variant within sample within seed; loads the data for its fingerprint.

        Seeds are the outer loop, so that an interrupted study has whole blocks of paired trials. Samples that are the same trial of a
        variant, since it fixes what tells them apart or since a value was drawn again, are listed once, as the first of them.
        """
        fingerprint = (data or self.load_data()).fingerprint
        drawn = list(search.samples(search.domains(self.search), self.num_samples, self.search_seed))
        seeds = range(self.seeds) if isinstance(self.seeds, int) else self.seeds
        variants = [(variant, flatten(variant.overrides)) for variant in self.all_variants()]
        trials: dict[tuple[str, str], Trial] = {}
        finder = Finder(self.folders)
        for seed in seeds:
            for number, values in enumerate(drawn):
                for variant, fixed in variants:
                    config = self._config(variant, values, seed)
                    attachments = finder.attach(config)
                    key = trial_key(config, fingerprint, attachments.digests)
                    if (variant.name, key) not in trials:
                        chosen = {name: value for name, value in flatten(values).items() if name not in fixed}
                        trials[variant.name, key] = Trial(key, config, fingerprint, variant.name, number, chosen, attachments)
        return list(trials.values())

    @property
    def processors(self) -> float:
        """How many processors Ray sets aside for each trial."""
        return self.cpus or max(self._config(variant, {}, seed=0).threads for variant in self.all_variants())

    def load_data(self) -> Dataset:
        """The study's images. Raises DataError."""
        from ferray.data import load

        return load(self.data, folders=self.folders)

    def run(self, storage: str | os.PathLike[str] | None = None, **options: Any) -> Outcome:
        """Runs what the ledger does not have yet; see ferray.runner.run for the options."""
        from ferray.runner import run

        return run(self, storage, **options)

    def _base(self) -> dict[str, Any]:
        return merge(merge({}, self.base), {"device": "cuda" if self.gpus else "cpu"})

    def _config(self, variant: designs.Variant, values: dict[str, Any], seed: int) -> Config:
        """The base, under what the search chose, under what the variant fixes: a variant without l1 has none, whatever is searched."""
        given = merge(overlay(overlay(self._base(), values), variant.overrides), {"seed": seed})
        where = "base" if not variant.overrides and not values else f"variant {variant.name!r}" if not values else f"search of {values}"
        return Config.parse(given, where=where)


def _known_fields(given: dict[str, Any]) -> list[str]:
    """The dotted names of all fields that a study with the given ones can have, for suggestions."""
    published = given.get("published")
    names = published if isinstance(published, dict) else ()
    return [
        *Study.model_fields,
        *_below("base", field_names()),
        *_below("data", DataSource.model_fields),
        *_below("ablate", Ablation.model_fields),
        *(field for name in names for field in _below(f"published.{name}", Published.model_fields)),
    ]


def _below(place: str, names: Iterable[str]) -> list[str]:
    return [f"{place}.{name}" for name in names]


def _check_names(fields: dict[str, Any], where: str) -> None:
    """Refuses mappings whose names are not text, and fields nested without end, before anything walks through them."""
    todo: list[tuple[str, int, Any]] = [("", 0, fields)]
    while todo:
        place, depth, value = todo.pop()
        if depth > study_file.NESTING:
            raise ConfigError(f"{where}: {place[:50]}...: nested more than {study_file.NESTING} deep")
        if isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise ConfigError(f"{where}: {place or 'a field'}: names are text, not {name!r}")
                todo.append((f"{place}.{name}" if place else name, depth + 1 + name.count("."), inner))
        elif isinstance(value, list | tuple):
            todo.extend((f"{place}[{number}]", depth + 1, inner) for number, inner in enumerate(value))
