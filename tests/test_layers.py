"""The allowed imports: who may know of whom, and what importing must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ferray"
MODULES = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in sorted(PACKAGE.rglob("*.py"))}

# What a module may import of ferray and of the two heavy libraries, lazily or not; names end where a package may be meant whole.
ALLOWED = {
    "errors": set(),
    "config": {"errors"},
    "private_modules": set(),
    "code": {"config", "errors", "private_modules"},
    "attachments": {"code", "config", "errors"},
    "data_source": {"config", "errors"},
    "designs": {"config", "errors"},
    "conditions": {"config", "errors"},
    "search": {"conditions", "config", "errors", "ray"},  # ray.tune draws the samples, inside a function
    "study_file": {"errors"},
    "trial": {"attachments", "config"},
    # data and runner inside functions
    "study": {"attachments", "conditions", "config", "data", "data_source", "designs", "errors", "runner", "search", "study_file", "trial"},
    "schema": {"command", "config", "data_source", "designs", "reference", "search", "study"},
    "reference": {"config", "designs", "schema", "search"},
    "seeds": set(),
    "atomic": set(),
    "command": {"errors"},
    "data": {"code", "command", "config", "data", "data_source", "errors", "seeds"},
    "ledger": {"atomic", "errors", "ledger"},
    "ledger.catalog": {"config", "errors", "ledger", "study_file"},
    "ledger.details": {"config", "errors", "ledger"},
    "ledger.rerun": {"config", "errors", "ledger", "runner", "study"},  # runner and study inside functions
    "ledger.__main__": {"command", "errors", "ledger"},
    "environment": set(),
    "metrics": set(),
    "normalization": {"torch"},
    "generators": {"torch"},
    "factories": {"code", "errors"},
    "torchvision_networks": {"code", "errors", "torch", "torchvision"},
    # torchvision_networks inside a function
    "foreign_networks": {"attachments", "code", "config", "errors", "factories", "generators", "seeds", "torch", "torchvision_networks"},
    "pretrained": {"attachments", "errors", "torch"},
    "losses": {"attachments", "code", "config", "errors", "factories", "torch"},
    "transforms": {"attachments", "code", "config", "errors", "factories", "generators", "seeds", "torch"},
    "process": {"config", "torch"},
    "state": {"torch"},
    "models": {"attachments", "config", "foreign_networks", "seeds", "torch"},
    "augmentation": {"config", "seeds", "torch"},
    "optimization": {"config", "models", "torch"},
    "training": {
        "attachments",
        "augmentation",
        "config",
        "data",
        "errors",
        "foreign_networks",
        "generators",
        "losses",
        "metrics",
        "models",
        "normalization",
        "optimization",
        "pretrained",
        "process",
        "seeds",
        "state",
        "transforms",
        "torch",
    },
    "trainable": {"config", "data", "environment", "errors", "ledger", "state", "training", "trial", "ray", "torch"},
    "check": {"code", "config", "data", "errors", "training", "trial", "torch"},  # training and torch inside functions
    "interruption": set(),
    "ray_log": {"errors"},
    "machine": {"errors", "torch"},
    "estimate": {"config", "errors", "ledger", "training"},  # training inside a function
    "display": {"estimate", "ledger", "live"},
    "live": {"display", "estimate"},
    "progress": {"estimate", "ledger"},
    "plan": {"environment", "errors", "estimate", "experiment", "ledger", "machine", "ray"},  # experiment and ray inside a function
    "experiment": {"environment", "errors", "interruption", "ledger", "machine", "ray_log", "trainable", "ray"},
    "runner": {
        "check",
        "data",
        "display",
        "environment",
        "errors",
        "estimate",
        "experiment",  # inside a function
        "interruption",
        "ledger",
        "machine",
        "progress",
        "trainable",
    },
    "tune": {"analysis", "command", "display", "errors", "ledger", "plan", "runner", "study", "study_file"},
    "analysis": {"analysis", "atomic", "config", "errors", "ledger"},
    "trained_model": {"attachments", "code", "config", "errors", "models", "normalization", "torch"},  # torch inside functions
    "onnx_file": {"errors", "trained_model", "torch"},
    "export": {"atomic", "command", "errors", "ledger", "onnx_file", "trained_model"},
    "predict": {"command", "data", "errors", "trained_model"},
    "report": {"analysis", "command", "errors", "ledger", "study", "study_file"},
}


def imported(file: Path) -> set[str]:
    """The modules of ferray (by their first name), ray and torch that a file imports, apart from those for annotations only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"ferray.{alias.name}" for alias in node.names} if node.module == "ferray" else {node.module}
    ours = {name.split(".")[1] for name in names if name.startswith("ferray.")}
    return ours | {name.split(".")[0] for name in names} & {"ray", "torch", "torchvision"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_allows(module: str) -> None:
    if module == "__init__":
        return
    layer = module.split(".")[0]
    named = module if module in ALLOWED else layer  # a module of a package may have a line of its own
    assert named in ALLOWED, f"say in ALLOWED what {module} may import"
    assert imported(MODULES[module]) - {layer if module != layer else ""} <= ALLOWED[named]


@pytest.mark.parametrize(
    "statement",
    [
        "import ferray",
        "import ferray; ferray.Study(name='x').all_variants()",
        "import ferray; ferray.Results",
        "import ferray.report, ferray.analysis.report",
        "import ferray.tune",
        "import ferray.ledger.__main__, ferray.ledger.rerun",
        "from ferray.data import load; from ferray.data_source import DataSource; load(DataSource(images=70))",
    ],
)
def test_the_read_half_loads_neither_ray_nor_torch(statement: str) -> None:
    check = f"import sys; {statement}; sys.exit(bool({{'ray', 'torch'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_public_names_are_there() -> None:
    import ferray

    for name in ferray.__all__:
        assert getattr(ferray, name)
