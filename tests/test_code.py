"""A user's own code: found, digested by its source, and run from a private copy."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from own_code import write

from ferray.code import Code, find
from ferray.errors import ConfigError


def _load(folder: Path, reference: str = "./own.py:make") -> object:
    return find(reference, [folder]).load()()


def test_a_function_of_a_file_is_run_with_what_it_imports_beside_it(tmp_path: Path) -> None:
    write(tmp_path, own="from parts import part\ndef make(): return part()\n", parts="def part(): return 'first'\n")
    assert _load(tmp_path) == "first"
    assert dict(find("./own.py:make", [tmp_path]).files).keys() == {"own.py", "parts.py"}


def test_a_package_is_found_by_its_name_with_its_relative_imports(tmp_path: Path) -> None:
    package = tmp_path / "things"
    write(package, __init__="", own="from . import parts\nfrom .parts import part\ndef make(): return part() + parts.part()\n")
    write(package, parts="def part(): return 1\n")
    assert _load(tmp_path, "things.own:make") == 2
    assert dict(find("things.own:make", [tmp_path]).files).keys() == {"things/__init__.py", "things/own.py", "things/parts.py"}


def test_the_digest_is_that_of_the_source_wherever_it_lies(tmp_path: Path) -> None:
    modules = {"own": "import parts\ndef make(): return 1\n", "parts": "A = 1\n", "unused": "A = 1\n"}
    first = find("./own.py:make", [write(tmp_path / "a", **modules)])
    assert find("./own.py:make", [write(tmp_path / "b", **modules)]).digest == first.digest
    assert find("./own.py:make", [write(tmp_path / "c", **{**modules, "unused": "A = 2\n"})]).digest == first.digest
    for name in ("own", "parts"):
        changed = {**modules, name: modules[name] + "B = 2\n"}
        assert find("./own.py:make", [write(tmp_path / name, **changed)]).digest != first.digest


def test_an_edited_module_runs_as_it_is_now_and_the_older_one_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, own="from parts import part\ndef make(): return part()\n", parts="def part(): return 'old'\n")
    old = find("./own.py:make", [tmp_path])
    assert old.load()() == "old"
    write(tmp_path, parts="def part(): return 'new'\n")
    assert _load(tmp_path) == "new"
    assert old.load()() == "old"


def test_modules_of_one_name_from_two_folders_do_not_meet_even_when_they_import_late(tmp_path: Path) -> None:
    late = "def make():\n    import parts\n    from parts import part\n    return parts.part() + part()\n"
    folders = [write(tmp_path / name, own=late, parts=f"def part(): return '{name}'\n") for name in ("a", "b")]
    makes = [find("./own.py:make", [folder]).load() for folder in folders]
    assert [make() for make in makes] == ["aa", "bb"]
    assert makes[0]() == "aa"


def test_what_lies_in_the_studys_other_folders_is_part_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)  # as the current folder is for `python -m`
    net = "from models.layers import a\nfrom common import b\ndef make(): return a() + b()\n"
    write(tmp_path / "models", net=net, layers="def a(): return 1\n")
    write(tmp_path, common="def b(): return 2\n")
    code = find("./models/net.py:make", [tmp_path / "study", tmp_path])
    assert dict(code.files).keys() == {"common.py", "models/layers.py", "net.py"}
    write(tmp_path, common="def b(): return 3\n")
    assert code.load()() == 3
    assert find("./models/net.py:make", [tmp_path]).digest != code.digest


def test_a_package_may_lack_its_init(tmp_path: Path) -> None:
    write(tmp_path / "plain", net="from plain.parts import part\ndef make(): return part()\n", parts="def part(): return 1\n")
    assert _load(tmp_path, "plain.net:make") == 1
    assert dict(find("plain.net:make", [tmp_path]).files).keys() == {"plain/net.py", "plain/parts.py"}
    write(tmp_path / "torch", nn="raise AssertionError\n")
    assert find("torch.nn:MultiMarginLoss", [tmp_path]).files == ()


def test_what_is_imported_by_a_call_is_part_of_the_code(tmp_path: Path) -> None:
    own = "import importlib\npart = importlib.import_module('.parts', __package__).part\ndef make(): return part()\n"
    write(tmp_path / "things", __init__="", own=own, parts="def part(): return 1\n")
    assert _load(tmp_path, "things.own:make") == 1


def test_a_file_named_like_a_part_of_the_interpreter_does_not_hide_it(tmp_path: Path) -> None:
    write(tmp_path, own="import time\ndef make(): return time.time()\n", time="")
    assert _load(tmp_path)
    write(tmp_path, time="import time\ndef make(): return time.monotonic()\n")
    assert _load(tmp_path, "./time.py:make")


def test_two_callables_may_share_an_imported_module(tmp_path: Path) -> None:
    write(tmp_path, parts="def part(): return 1\n", one="import parts\nmake = parts.part\n", two="import parts\nmake = parts.part\n")
    assert _load(tmp_path, "./one.py:make") == _load(tmp_path, "./two.py:make") == 1


def test_a_notebooks_own_modules_and_path_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, own_of_notebook="def make(): return 'edited'\n")
    ours = importlib.import_module("own_of_notebook")
    before = list(sys.path)
    assert _load(tmp_path, "./own_of_notebook.py:make") == "edited"
    assert sys.modules["own_of_notebook"] is ours
    assert sys.path == before
    del sys.modules["own_of_notebook"]


def test_code_travels_to_where_the_file_is_not(tmp_path: Path) -> None:
    write(tmp_path, own="def make(): return 'here'\n")
    sent = pickle.dumps(find("./own.py:make", [tmp_path]))
    (tmp_path / "own.py").unlink()
    code: Code = pickle.loads(sent)
    assert code.load()() == "here"


def test_installed_modules_are_known_by_what_their_installer_listed() -> None:
    loss = find("torch.nn:MultiMarginLoss", [])
    assert loss.files == ()
    assert loss.load().__name__ == "MultiMarginLoss"
    assert loss.digest == find("torch.nn:MultiMarginLoss", []).digest != find("torch.nn:L1Loss", []).digest
    assert find("json:loads", []).load()("1") == 1


def test_ferray_itself_is_no_code_of_the_users(tmp_path: Path) -> None:
    write(tmp_path / "ferray", __init__="", config="raise AssertionError")
    write(tmp_path, own="from ferray.config import Config\ndef make(): return Config\n")
    from ferray.config import Config

    assert _load(tmp_path) is Config
    assert find("ferray.training.models:CNN", [tmp_path]).files == ()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("./onw.py:make", "./onw.py:make: no such file; did you mean 'own.py'?; looked in "),
        ("./own.py:mkae", "./own.py:mkae: own has no mkae; did you mean 'make'?"),
        ("./own.py:A", "./own.py:A: cannot be called, since it is of type int; name a function or class"),
        ("./broken.py:make", "./broken.py:make: does not import: ZeroDivisionError: division by zero (broken.py, line 2)"),
        ("./half.py:make", "./half.py:make: does not import: SyntaxError: '(' was never closed (half.py, line 2)"),
        ("./lacks.py:make", "./lacks.py:make: does not import: ModuleNotFoundError: No module named 'no_such_thing' (lacks.py, line 1)"),
        ("./ends.py:make", "./ends.py:make: does not import: SystemExit: no GPU (ends.py, line 2)"),
        ("raises.nothing:make", "raises.nothing:make: there is no module 'raises.nothing' beside the study file"),
        ("no_such.module:make", "no_such.module:make: there is no module 'no_such.module' beside the study file"),
    ],
)
def test_code_that_does_not_import_is_told_with_its_place(
    tmp_path: Path, reference: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "raises", __init__="1 / 0\n")
    write(tmp_path, ends="import sys\nsys.exit('no GPU')\n")
    write(tmp_path, own="A = 1\ndef make(): return 1\n", broken="A = 1\nB = A / 0\n", half="A = 1\nB = (\n", lacks="import no_such_thing\n")
    with pytest.raises(ConfigError) as raised:
        find(reference, [tmp_path]).load()
    assert message in str(raised.value)


def test_a_module_can_look_up_its_own_annotations(tmp_path: Path) -> None:
    source = """
        from __future__ import annotations
        import sys, typing
        from dataclasses import dataclass
        @dataclass
        class Part:
            size: int = 3
        def make() -> Part:
            assert typing.get_type_hints(make)["return"] is Part
            assert sys.modules[__name__].Part is Part
            return Part()
    """
    write(tmp_path, own=dedent(source))
    assert _load(tmp_path).size == 3  # type: ignore[attr-defined]
