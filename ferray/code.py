"""A user's own code, named as `./file.py:factory` or `package.module:factory`: found, digested, carried to other machines, loaded.

What identifies it is its source: the module's own file and the modules that it imports, as far as they lie beside it or in the folders
in which a study's files are looked for, read without running them. A trial carries these files with it and loads them from a copy,
under private names, so that a worker anywhere runs what the key stands for, even while the user edits. Modules of installed
distributions are known by what their installer listed, and are imported where the trial runs.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from ferray.config import digest
from ferray.errors import ConfigError, nearest
from ferray.private_modules import import_privately

MOST_BYTES = 20_000_000
"""So much source may one reference bring along."""

FERRAY = __name__.partition(".")[0]
"""ferray itself is never taken for a user's code, wherever it lies; the engine's version stands for it."""

_copies: dict[str, tempfile.TemporaryDirectory[str]] = {}


@dataclass(frozen=True)
class Code:
    """One callable of a user's, with all the source that it stands on.

    ``files`` are the sources by their path; they are empty where the module is installed and imported by its name.
    """

    reference: str
    module: str
    name: str
    digest: str
    files: tuple[tuple[str, bytes], ...] = field(repr=False)

    def load(self) -> Callable[..., Any]:
        """The callable. Raises ConfigError where the module does not import, or has no such callable."""
        try:
            found: Any = import_privately(_copy(self), self.digest, self.module) if self.files else importlib.import_module(self.module)
        except (Exception, SystemExit) as fault:
            raise ConfigError(f"{self.reference}: does not import: {told(fault)}") from fault
        for part in self.name.split("."):
            known = [name for name in dir(found) if not name.startswith("_")]
            if not hasattr(found, part):
                raise ConfigError(f"{self.reference}: {self.module} has no {part}{nearest(part, known)}")
            found = getattr(found, part)
        if not callable(found):
            raise ConfigError(f"{self.reference}: cannot be called, since it is of type {type(found).__name__}; name a function or class")
        called: Callable[..., Any] = found
        return called


def find(reference: str, folders: Sequence[Path]) -> Code:
    """The code that a reference names, looked for in each of the folders, then among what is installed.

    Raises ConfigError where there is none. Nothing of the user's is run, apart from the packages around a module of an installed one.
    """
    place, _, name = reference.rpartition(":")
    if place.endswith(".py"):
        file = _first(folder / Path(place).expanduser() for folder in folders)
        if file is None:
            near = [item.name for folder in folders for item in (folder / place).parent.glob("*.py")]
            looked = ", ".join(str(folder) for folder in folders)
            raise ConfigError(f"{reference}: no such file{nearest(Path(place).name, near)}; looked in {looked}")
        file = file.resolve()
        module = file.stem
        if not module.isidentifier():
            raise ConfigError(f"{reference}: a module's file is called like a name, with letters, digits and _, not {file.name!r}")
        return _code(reference, module, name, [file.parent, *folders], is_installed=False)
    top = place.partition(".")[0]
    for folder in folders if top != FERRAY else ():
        # A folder without an __init__.py gives way to an installed package of its name, as it does in Python.
        if _source(folder, place) is not None and (_source(folder, top) is not None or not _is_regular(top)):
            return _code(reference, place, name, [folder, *folders], is_installed=False)
    return _installed(reference, place, name, folders)


def _is_regular(top: str) -> bool:
    spec = _spec(top)
    return spec is not None and spec.origin is not None


def _installed(reference: str, module: str, name: str, folders: Sequence[Path]) -> Code:
    top = module.partition(".")[0]
    spec = _spec(module)
    if spec is None:
        raise ConfigError(f"{reference}: there is no module {module!r} beside the study file, in the current folder or installed")
    if spec.origin is None or not spec.origin.endswith(".py"):
        return Code(reference, module, name, digest({"module": module, "python": sys.version}), ())
    root = Path(spec.origin).resolve().parents[module.count(".") + (Path(spec.origin).name == "__init__.py")]
    if root in (Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")):
        return Code(reference, module, name, digest({"module": module, "name": name, "python": sys.version}), ())
    apart = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")]
    is_installed = top == FERRAY or root in apart or any("site-packages" in part or "dist-packages" in part for part in root.parts)
    listed = _listed(top) if is_installed and top != FERRAY else None
    if listed:
        return Code(reference, module, name, digest({"module": module, "name": name, "listed": listed}), ())
    if not is_installed and _source(root, top) is None:
        is_installed = True
    return _code(reference, module, name, [root, *folders], is_installed=is_installed)


def _spec(module: str) -> ModuleSpec | None:
    """Where a module lies, without running the packages around it where that can be avoided."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        name = top
        for part in rest:
            name = f"{name}.{part}"
            places = None if spec is None else spec.submodule_search_locations
            spec = None if places is None else PathFinder.find_spec(name, list(places))
        return spec or importlib.util.find_spec(module)
    except Exception:  # noqa: BLE001 - the packages around a module that is not there may raise anything
        return None


@cache
def _listed(top: str) -> list[list[str]]:
    """The sources of the distribution that brought a package, with the digests that its installer wrote down; empty where there is none.

    Large ones, such as torch, would take half a minute to read.
    """
    distributions = importlib.metadata.packages_distributions().get(top, [])
    files = [file for distribution in sorted(set(distributions)) for file in importlib.metadata.files(distribution) or []]
    return sorted([str(file), file.hash.value] for file in files if file.suffix == ".py" and file.hash is not None)


def _code(reference: str, module: str, name: str, roots: Sequence[Path], *, is_installed: bool) -> Code:
    files = _sources([root.resolve() for root in roots], module, within=module.partition(".")[0] if is_installed else None)
    size = sum(len(content) for content in files.values())
    if size > MOST_BYTES:
        raise ConfigError(f"{reference}: the module and what it imports beside it are {size:,} bytes, more than {MOST_BYTES:,}")
    hashed = digest({"module": module, "name": name, "files": {path: content.hex() for path, content in files.items()}})
    return Code(reference, module, name, hashed, () if is_installed else tuple(files.items()))


def _sources(roots: Sequence[Path], module: str, within: str | None) -> dict[str, bytes]:
    """The module's source and that of all modules below the roots that it imports, by path; of one package only, if ``within`` names it.

    A package is that of the first root which has it.
    """
    found: dict[str, bytes] = {}
    todo = [module]
    seen = set()
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in seen or (top != within if within is not None else top == FERRAY):
            continue
        seen.add(name)
        root = next((root for root in roots if _source(root, top) is not None or _source(root, name) is not None), None)
        file = None if root is None or (top in sys.builtin_module_names and name != module) else _source(root, name)
        if root is None or file is None:
            continue
        content = file.read_bytes()
        found[file.relative_to(root).as_posix()] = content
        todo.extend(_imported(content, name, is_package=file.name == "__init__.py"))
        todo.extend(name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1))  # the packages around it
    return dict(sorted(found.items()))


def _imported(content: bytes, module: str, *, is_package: bool) -> Iterator[str]:
    """The names of all modules that a source may import, wherever in it the import stands."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return  # loading will tell
    parts = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _ends_with(node.func, "import_module", "__import__"):
            called = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if isinstance(called, str):
                depth = len(called) - len(called.lstrip("."))
                around = parts[: len(parts) - depth + is_package] if depth else []
                yield ".".join([*around, called.lstrip(".")])
        elif isinstance(node, ast.ImportFrom):
            around = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*around, *([node.module] if node.module else [])])
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _ends_with(called: ast.expr, *names: str) -> bool:
    return getattr(called, "attr", getattr(called, "id", None)) in names


def _source(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _copy(code: Code) -> Path:
    """A folder of this process with the files of a piece of code, and nothing else."""
    folder = _copies.get(code.digest)
    if folder is None:
        folder = _copies[code.digest] = tempfile.TemporaryDirectory(prefix="ferray-code-")
        for path, content in code.files:
            file = Path(folder.name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return Path(folder.name)


def _first(files: Iterable[Path]) -> Path | None:
    return next((file for file in files if file.is_file()), None)


def told(fault: BaseException) -> str:
    """What a user's code raised, in one line, with its place in the user's own files as far as it is known."""
    message = str(fault).strip().partition("\n")[0]
    if isinstance(fault, SyntaxError) and fault.filename:
        return f"SyntaxError: {fault.msg} ({Path(fault.filename).name}, line {fault.lineno})"
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(fault.__traceback__)]
    own = [place for place in places if any(Path(place[0]).is_relative_to(copy.name) for copy in _copies.values())]
    where = f" ({Path(own[-1][0]).name}, line {own[-1][1]})" if own else ""
    return f"{type(fault).__name__}{f': {message}' if message else ''}{where}"
