"""What a config names without holding it: a user's own code, and a file of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ferray import code
from ferray.code import Code
from ferray.config import OWN_NETWORKS, Config
from ferray.errors import ConfigError, nearest


@dataclass(frozen=True)
class Weights:
    """A file of weights to begin from, with its content, so that it travels."""

    name: str
    digest: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Attachments:
    """The code by the config's field (``model``, ``loss``, ``transform``), and the weights."""

    code: Mapping[str, Code] = field(default_factory=dict)
    pretrained: Weights | None = None

    @property
    def digests(self) -> dict[str, str]:
        """What of them belongs to a trial's key, by field; empty where the config says everything."""
        found = {name: one.digest for name, one in self.code.items()}
        return found if self.pretrained is None else {**found, "pretrained": self.pretrained.digest}


class Finder:
    """Finds attachments in a row of folders, each of them once, so that all trials of a plan have the same."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._code: dict[str, Code] = {}
        self._weights: dict[str, Weights] = {}

    def attach(self, config: Config) -> Attachments:
        """All that the config names. Raises ConfigError where it is not there."""
        named: dict[str, str] = {}
        if config.model not in OWN_NETWORKS and not config.model.startswith("torchvision:"):
            named["model"] = config.model
        if config.loss != "cross_entropy":
            named["loss"] = config.loss
        if config.transform is not None:
            named["transform"] = config.transform
        found = {}
        for name, reference in named.items():
            if reference not in self._code:
                try:
                    self._code[reference] = code.find(reference, self._folders)
                except ConfigError as error:
                    raise ConfigError(f"{name}: {error}") from None
            found[name] = self._code[reference]
        return Attachments(found, None if config.pretrained is None else self._read(config.pretrained))

    def _read(self, path: str) -> Weights:
        if path not in self._weights:
            places = [folder / Path(path).expanduser() for folder in self._folders]
            file = next((place for place in places if place.is_file()), None)
            if file is None:
                near = [item.name for place in places if place.parent.is_dir() for item in place.parent.iterdir()]
                looked = ", ".join(str(folder) for folder in self._folders)
                raise ConfigError(f"pretrained: no file {path!r}{nearest(Path(path).name, near)}; looked in {looked}")
            try:
                content = file.read_bytes()
            except OSError as error:
                raise ConfigError(f"pretrained: {file}: cannot be read ({error.strerror or error})") from None
            self._weights[path] = Weights(file.name, hashlib.sha256(content).hexdigest(), content)
        return self._weights[path]
