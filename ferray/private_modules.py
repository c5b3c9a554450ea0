"""Modules of a user's code under private names, so that they neither meet nor touch others of the same names in this process.

A module `network` of one digest becomes `ferray_code_<digest>.network`. What it imports by the plain names of the files that came with
it, at once or later within a function, are the private ones beside it; all else is imported as always. Two editions of one file
therefore live side by side, and a notebook's own modules and its path of imports stay as they are.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

PREFIX = "ferray_code_"
NAME_LENGTH = 16
"""Digits of the digest in a private name."""


def import_privately(folder: Path, digest: str, module: str) -> ModuleType:
    """The module of that name in a folder, which holds the source of that digest and nothing else; raises what importing it raises."""
    package = f"{PREFIX}{digest[:NAME_LENGTH]}"
    if package not in sys.modules:
        around = ModuleType(package)
        around.__path__ = [str(folder)]
        sys.modules[package] = around
        sys.meta_path.insert(0, _Finder(package, folder))
    return importlib.import_module(f"{package}.{module}")


class _Finder(MetaPathFinder):
    """Finds the modules of one private package in its folder."""

    def __init__(self, package: str, folder: Path) -> None:
        self._package = package
        self._folder = folder

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Of a module, or of a package, perhaps without a file of its own."""
        package, _, name = fullname.partition(".")
        if package != self._package or not name:
            return None
        place = self._folder.joinpath(*name.split("."))
        init, file = place / "__init__.py", place.with_suffix(".py")
        if init.is_file():
            loader = _Loader(fullname, str(init), self._package, self._folder)
            return importlib.util.spec_from_file_location(fullname, init, loader=loader, submodule_search_locations=[str(place)])
        if file.is_file():
            return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(fullname, str(file), self._package, self._folder))
        if place.is_dir():
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        return None


class _Loader(SourceFileLoader):
    """Runs a module with an import statement of its own."""

    def __init__(self, fullname: str, path: str, package: str, folder: Path) -> None:
        super().__init__(fullname, path)
        self._package = package
        self._own = {item.name.removesuffix(".py") for item in folder.iterdir()} - set(sys.builtin_module_names)

    def exec_module(self, module: ModuleType) -> None:
        """Functions keep the builtins of the module that defines them, so that imports within them go the same way."""
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)

    def _import(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        top = name.partition(".")[0]
        if level or top not in self._own:
            return builtins.__import__(name, globals, locals, fromlist, level)
        found = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist, 0)
        return found if fromlist else sys.modules[f"{self._package}.{top}"]  # `import a.b` binds a
