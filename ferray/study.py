"""A study: what one YAML file describes, and the plan of trials that it needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator

from ferray import conditions, designs, search, short_forms, study_file
from ferray.attachments import Finder
from ferray.budget import Budget
from ferray.config import Frozen, NotNegative, Positive, field_names, merge
from ferray.data_source import DataSource
from ferray.designs import SET_BY_THE_STUDY, Ablation, Name, Variant, leave_to_the_study
from ferray.errors import ConfigError, explain
from ferray.packing import Pack, Packing, check_cpu_nodes
from ferray.published import Published
from ferray.search import Domain
from ferray.seeds import Seeds
from ferray.settings import Settings
from ferray.trial import Cell, Phase, Trial, check_drawn, trials
from ferray.tuning import Tuning

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.running.runner import Outcome

MOST_TRIALS = 1_000_000
"""So many may a study plan; what is more is a slip in a grid, and would fill the memory before anything ran."""
LEAST_EFFECT = 0.01
"""Accuracy points: one of ten thousand images. Who writes less means a fraction."""


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
    """Name: overrides on the base; or a list of overrides, each with its `name`."""
    ablate: Ablation | None = None
    """What is taken away from the base."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Field of the config: domain, a mapping of one key that is called like a function of ray.tune, and of its conditions (`when`)."""
    num_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Draws of the searched fields, for each point of the grid."""
    search_seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""
    tuning: Tuning | None = None
    """Searches for every variant's best settings first, on other seeds, and compares the variants at these alone."""
    seeds: Seeds = 1
    """How many (0, 1, ...), or which; the same for every variant."""
    cpus: Positive | None = None
    """Processors that Ray sets aside for each trial, or process that packs several; as many as its `threads` where left out."""
    gpus: NotNegative = 0.0
    """GPUs, or a fraction of one, for each trial; 0 trains on processors."""
    pack: Pack = "auto"
    """`auto`: those on GPUs share processes, as many as fit (or 4 on each, by `gpus: 0.25`); a number: so many at most; `off`: none."""
    cpu_nodes: bool = False
    """Trials train on nodes without a GPU, too, where those with one are full: each on as many processors as its `threads`."""
    smallest_effect: Annotated[float, Field(ge=LEAST_EFFECT, le=100)] = 0.5
    """Accuracy points, that is percent and no fraction: an effect that is certainly smaller, either way, is called none."""
    budget: Budget | None = None
    """What may be spent on the study, such as `{gpu_hours: 10}`, `{processor_hours: 4}` or `{hours: 2}`; the run then ends cleanly."""
    keep_weights: bool = True
    """Keeps each trial's weights at its selected epoch, for `python -m ferray.export`."""
    published: dict[Name, Published] = Field(default_factory=dict)
    """Accuracies from the literature by variant."""

    _folder: Path | None = PrivateAttr(default=None)

    def __init__(self, /, **fields: Any) -> None:
        where = f"study {fields.get('name', '')!r}"
        study_file.check_names(fields, where)
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
    def _named_source(cls, given: Any) -> Any:
        return short_forms.data(given)

    @field_validator("variants", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return short_forms.variants(given)

    @field_validator(*short_forms.EXAMPLES, mode="before")
    @classmethod
    def _mapping(cls, given: Any, info: ValidationInfo) -> Any:
        return short_forms.mapping(str(info.field_name), given)

    @field_validator("smallest_effect", mode="before")
    @classmethod
    def _no_fraction(cls, given: Any) -> Any:
        if isinstance(given, float) and 0 < given < LEAST_EFFECT:
            near = f"; did you mean {100 * given:g}?" * (100 * given >= LEAST_EFFECT)
            told = f"is in accuracy points (percent), and no fraction; must be at least {LEAST_EFFECT:g}, not {given:g}{near}"
            raise ConfigError.at("smallest_effect", told)
        return given

    @field_validator("gpus")
    @classmethod
    def _whole_beyond_one(cls, given: float) -> float:
        if given > 1 and given != int(given):
            raise ValueError("must be a fraction of one GPU, or a whole number of them: fractions of two are not joined")
        return given

    @field_validator("base", "search")
    @classmethod
    def _leave_some_to_the_study(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        leave_to_the_study(str(info.field_name), given)
        return given

    @field_validator("variants")
    @classmethod
    def _leave_all_to_the_study(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, overrides in given.items():
            leave_to_the_study(f"variants.{name}", overrides)
        return given

    @model_validator(mode="after")
    def _check(self) -> Study:
        """Builds every config that can be known without drawing, so that a fault shows before anything runs."""
        if not isinstance(self.seeds, int) and len(set(self.seeds)) < len(self.seeds):
            raise ConfigError.at("seeds", f"each seed once, not {self.seeds}")
        if self.budget and self.budget.gpu_hours and not self.gpus:
            raise ConfigError.at("budget.gpu_hours", "trials have no GPUs, so none are spent; give processor_hours or hours, or set `gpus`")
        packing = Packing.of(self.pack, self.gpus)
        if self.cpu_nodes:
            check_cpu_nodes(self.gpus, packing, self.budget.unit if self.budget else None)
        domains = self._domains
        if self.tuning:
            self.tuning.check(domains, self.num_samples, self.all_seeds)
        self._settings.config(Variant(self.baseline))
        variants = self.all_variants()
        names = [variant.name for variant in variants]
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if twice is not None:
            told = f"another variant is called {twice!r} too: the base is called {self.baseline!r} (see `baseline`)"
            raise ConfigError.at(f"variants.{twice}", f"{told}, and what `ablate` makes by what it takes away" if self.ablate else told)
        unknown = sorted(set(self.published) - set(names))
        if unknown:
            told = f"no variant is called {', '.join(unknown)} (there are: {', '.join(names)})"
            raise ConfigError.at(f"published.{unknown[0]}", told)
        if self.tuning:
            shortest = min(self._settings.config(variant).epochs for variant in variants)
            self.tuning.check_scheduler(shortest, [domain.field for domain in domains])
        self._check_size(len(variants))
        conditions.check_fields(domains)
        conditions.check_reachable(domains, self._settings.tried(variants))
        return self

    def _check_size(self, variants: int) -> None:
        samples, how = search.count(self._domains, self.num_samples)
        seeds = len(self.tuning.all_seeds if self.tuning else self.all_seeds)
        if seeds * variants * samples > MOST_TRIALS:
            product = f"{variants:,} variant{'s' * (variants > 1)} x {how} x {seeds:,} seed{'s' * (seeds > 1)}"
            told = f"{seeds * variants * samples:,} trials ({product}) are too many to plan; at most {MOST_TRIALS:,}"
            raise ConfigError.at("search" if samples > 1 else "seeds", told)

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Study:
        """Reads a study file; ``overrides`` are ``NAME=VALUE`` settings such as ``base.epochs=3``. Raises ConfigError."""
        text, content = study_file.read(Path(path))
        try:
            content = study_file.override(short_forms.in_long_form(content), overrides)
            study = cls(**{"name": Path(path).stem, **content})
        except ConfigError as error:
            raise study_file.point(error, Path(path), text, overrides) from None
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

    def all_variants(self) -> list[Variant]:
        """The base first, then the design's variants, then the named ones."""
        searched = [domain.field for domain in self._domains]
        designed = designs.variants(self._settings.base, self.ablate, searched) if self.ablate else []
        named = [Variant(name, overrides) for name, overrides in self.variants.items()]
        return [Variant(self.baseline), *designed, *named]

    @property
    def all_seeds(self) -> Sequence[int]:
        """The seeds by which variants are compared, one by one."""
        return range(self.seeds) if isinstance(self.seeds, int) else self.seeds

    def plan(self, data: Dataset | None = None) -> list[Trial]:
        """Every trial that the study needs, variant by variant within sample within seed; loads the data for its fingerprint.

        Seeds are the outer loop, so that an interrupted study has whole blocks of paired trials. Samples that are the same trial of a
        variant, since it fixes what tells them apart or since a value was drawn again, are listed once, as the first of them.

        Of a study with ``tuning`` these are the trials that tune; what comes after them depends on how they end: see ``confirmation``.
        Raises ConfigError where the draws leave nothing to compare or to choose from.
        """
        phase: Phase = "tuning" if self.tuning else "final"
        settings, variants = self._settings, self.all_variants()
        cells = [Cell(phase, one.name, number, *settings.resolved(one, values)) for number, values in self._drawn() for one in variants]
        planned = self._trials(self.tuning.all_seeds if self.tuning else self.all_seeds, cells, data)
        check_drawn(planned)
        return planned

    def confirmation(self, chosen: Mapping[str, int], data: Dataset | None = None) -> list[Trial]:
        """The trials that compare the variants of a tuned study, where ``chosen`` has the best sample of each variant by its name.

        On each of ``seeds``, every variant that has one is trained at its best sample (phase final), and at the baseline's (phase frozen).
        Where both are the same training, as they are for the baseline, it is listed in both phases with one key.
        """
        drawn = dict(self._drawn())
        cells: list[Cell] = []
        for variant in self.all_variants():
            if variant.name in chosen:
                cells.append(self._first_alike("final", variant, chosen[variant.name], drawn))
            if variant.name in chosen and self.baseline in chosen:
                cells.append(self._first_alike("frozen", variant, chosen[self.baseline], drawn))
        return self._trials(self.all_seeds, cells, data)

    def _drawn(self) -> Iterable[tuple[int, dict[str, Any]]]:
        return enumerate(search.samples(self._domains, self.num_samples, self.search_seed))

    def _first_alike(self, phase: Phase, variant: Variant, number: int, drawn: Mapping[int, dict[str, Any]]) -> Cell:
        """A variant at a sample, under the number that ``plan`` lists it by."""
        config, overrides = self._settings.resolved(variant, drawn[number])
        first = next(earlier for earlier in drawn if self._settings.resolved(variant, drawn[earlier])[0] == config)
        return Cell(phase, variant.name, first, config, overrides)

    def _trials(self, seeds: Iterable[int], cells: Iterable[Cell], data: Dataset | None) -> list[Trial]:
        stopping = self.tuning.stopping if self.tuning else None
        return trials(seeds, cells, (data or self.load_data()).fingerprint, Finder(self.folders), stopping)

    @property
    def packing(self) -> Packing:
        """How its trials share processes."""
        return Packing.of(self.pack, self.gpus)

    @property
    def processors(self) -> float:
        """How many processors Ray sets aside for each trial, or process that packs several."""
        return self.cpus or max(self._settings.config(variant).threads for variant in self.all_variants())

    @property
    def on_processors(self) -> Study:
        """What it asks of a node without a GPU, where ``cpu_nodes`` lets that train; what is to be trained is this study's all the same."""
        return self.model_copy(update={"gpus": 0.0, "cpus": None, "pack": "off", "cpu_nodes": False})

    def load_data(self) -> Dataset:
        """The study's images. Raises DataError."""
        from ferray.data import load

        return load(self.data, folders=self.folders)

    def run(self, storage: str | os.PathLike[str] | None = None, **options: Any) -> Outcome:
        """Runs what the ledger does not have yet; see ferray.running.runner.run for the options."""
        from ferray.running.runner import run

        return run(self, storage, **options)

    @cached_property
    def _domains(self) -> list[Domain]:
        return search.domains(self.search)

    @property
    def _settings(self) -> Settings:
        return Settings(merge(merge({}, self.base), {"device": self._device}), self._domains)

    @property
    def _device(self) -> str:
        return "any" if self.cpu_nodes else "cuda" if self.gpus else "cpu"


def _known_fields(given: dict[str, Any]) -> list[str]:
    """The dotted names of all fields that a study with the given ones can have, for suggestions."""
    published = given.get("published")
    names = published if isinstance(published, dict) else ()
    return [
        *Study.model_fields,
        *_below("base", (name for name in field_names() if name not in SET_BY_THE_STUDY)),
        *_below("data", DataSource.model_fields),
        *_below("budget", Budget.model_fields),
        *_below("ablate", Ablation.model_fields),
        *_below("tuning", Tuning.model_fields),
        *(field for name in names for field in _below(f"published.{name}", Published.model_fields)),
    ]


def _below(place: str, names: Iterable[str]) -> list[str]:
    return [f"{place}.{name}" for name in names]
