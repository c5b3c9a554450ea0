"""A user's own code, named as `./file.py:factory` or `package.module:factory`: found, digested, carried to other machines, loaded.

What identifies it is its source: the module's own file and, as far as they lie beside it, the modules that it imports, read without
running them. A trial carries these files with it and loads them from a copy, so that a worker anywhere runs what the key stands for,
even while the user edits. Modules of installed distributions are digested in the same way and are imported where the trial runs.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ferray.config import digest
from ferray.errors import ConfigError, nearest

MOST_BYTES = 20_000_000
"""So much source may one reference bring along."""

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
        if self.files:
            _make_importable(_copy(self))
        try:
            found: Any = importlib.import_module(self.module)
        except Exception as fault:
            raise ConfigError(f"{self.reference}: does not import: {type(fault).__name__}: {fault}{_place(fault)}") from fault
        for part in self.name.split("."):
            known = [name for name in dir(found) if not name.startswith("_")]
            if not hasattr(found, part):
                raise ConfigError(f"{self.reference}: {self.module} has no {part}{nearest(part, known)}")
            found = getattr(found, part)
        if not callable(found):
            raise ConfigError(f"{self.reference}: is a {type(found).__name__} and cannot be called; name a function or class")
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
        root, module = file.parent, file.stem
        if not module.isidentifier():
            raise ConfigError(f"{reference}: a module's file is called like a name, with letters, digits and _, not {file.name!r}")
        return _code(reference, module, name, root, is_installed=False)
    for folder in folders:
        root = folder.resolve()
        if _source(root, place) is not None and _source(root, place.partition(".")[0]) is not None:
            return _code(reference, place, name, root, is_installed=False)
    return _installed(reference, place, name)


def _installed(reference: str, module: str, name: str) -> Code:
    top = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        raise ConfigError(f"{reference}: there is no module {module!r} beside the study file, in the current folder or installed")
    if spec.origin is None or not spec.origin.endswith(".py"):
        return Code(reference, module, name, digest({"module": module, "python": sys.version}), ())
    root = Path(spec.origin).resolve().parents[module.count(".") + (Path(spec.origin).name == "__init__.py")]
    apart = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    is_installed = root in apart or any("site-packages" in part or "dist-packages" in part for part in root.parts)
    if not is_installed and _source(root, top) is None:
        is_installed = True
    return _code(reference, module, name, root, is_installed=is_installed)


def _code(reference: str, module: str, name: str, root: Path, *, is_installed: bool) -> Code:
    files = _sources(root, module, within=module.partition(".")[0] if is_installed else None)
    size = sum(len(content) for content in files.values())
    if size > MOST_BYTES:
        raise ConfigError(f"{reference}: the module and what it imports beside it are {size:,} bytes, more than {MOST_BYTES:,}")
    hashed = digest({"module": module, "name": name, "files": {path: content.hex() for path, content in files.items()}})
    return Code(reference, module, name, hashed, () if is_installed else tuple(files.items()))


def _sources(root: Path, module: str, within: str | None) -> dict[str, bytes]:
    """The module's source and that of all modules below ``root`` that it imports, by path; of one package only, if ``within`` names it."""
    found: dict[str, bytes] = {}
    todo = [module]
    seen = set()
    while todo:
        name = todo.pop()
        if name in seen or (within is not None and name.partition(".")[0] != within):
            continue
        seen.add(name)
        file = _source(root, name)
        if file is None:
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
        elif isinstance(node, ast.ImportFrom):
            around = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*around, *([node.module] if node.module else [])])
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


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


def _make_importable(folder: Path) -> None:
    """Puts a folder first on the path of imports, and forgets modules of the same names that came from elsewhere."""
    names = {item.name.removesuffix(".py") for item in folder.iterdir()}
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if name.partition(".")[0] in names and not (origin and Path(origin).is_relative_to(folder)):
            del sys.modules[name]
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _first(files: Iterable[Path]) -> Path | None:
    return next((file for file in files if file.is_file()), None)


def _place(fault: BaseException) -> str:
    """Where in the user's own code a fault was raised."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f" ({Path(fault.filename).name}, line {fault.lineno})"
    last = None
    trace = fault.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        last = (name, trace.tb_lineno) if not name.startswith("<") and name != __file__ else last
        trace = trace.tb_next
    return f" ({Path(last[0]).name}, line {last[1]})" if last else ""
