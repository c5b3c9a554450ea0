"""The allowed imports: who may know of whom, and what importing must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ferray"
MODULES = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in sorted(PACKAGE.rglob("*.py"))}

# What a module may import of ferray and of the heavy libraries, lazily or not; the name of a package stands for all of it.
ALLOWED = {
    "errors": set(),
    "config": {"errors"},
    "private_modules": set(),
    "code": {"config", "errors", "private_modules"},
    "attachments": {"code", "config", "errors"},
    "data_source": {"config", "errors"},
    "fraction": set(),
    "factors": {"config", "errors"},
    "budget": {"config", "errors"},
    "designs": {"config", "errors", "factors", "fraction"},
    "conditions": {"config", "errors"},
    "search": {"conditions", "config", "errors", "ray"},  # ray.tune draws the samples, inside a function
    "study_file": {"errors"},
    "packing": {"errors"},
    "short_forms": {"config", "data_source", "errors"},
    "trial": {"attachments", "config", "errors"},
    "published": {"config"},
    "settings": {"conditions", "config", "designs", "errors", "search"},
    "tuning": {"config", "errors", "search", "seeds", "trial"},
    # data and runner inside functions
    "study": {
        "attachments",
        "budget",
        "conditions",
        "config",
        "data",
        "data_source",
        "designs",
        "errors",
        "packing",
        "published",
        "running.runner",
        "search",
        "seeds",
        "settings",
        "short_forms",
        "study_file",
        "trial",
        "tuning",
    },
    "schema": {"command", "config", "data_source", "designs", "factors", "reference", "search", "study"},
    "reference": {"config", "designs", "factors", "schema", "search"},
    "seeds": {"errors"},
    "power": set(),
    "atomic": set(),
    "command": {"errors"},
    "data": {"code", "command", "config", "data", "data_source", "errors", "seeds"},
    "ledger": {"atomic", "errors", "ledger"},
    "ledger.catalog": {"config", "errors", "ledger", "study_file"},
    "ledger.details": {"config", "errors", "ledger"},
    "ledger.rerun": {"config", "errors", "ledger", "running.confirmation", "running.runner", "study"},  # running and study inside functions
    "ledger.__main__": {"command", "errors", "ledger"},
    "environment": set(),
    "training.metrics": set(),
    "training.normalization": {"torch"},
    "training.generators": {"torch"},
    "training.factories": {"code", "errors", "training.generators", "torch"},
    "training.torchvision_networks": {"code", "errors", "torch", "torchvision"},
    # torchvision_networks inside a function
    "training.foreign_networks": {
        "attachments",
        "code",
        "config",
        "errors",
        "training.factories",
        "training.generators",
        "seeds",
        "torch",
        "training.torchvision_networks",
    },
    "training.pretrained": {"attachments", "errors", "torch"},
    "training.losses": {
        "attachments",
        "code",
        "config",
        "errors",
        "training.factories",
        "training.generators",
        "training.state",
        "seeds",
        "torch",
    },
    "training.transforms": {
        "attachments",
        "code",
        "config",
        "errors",
        "training.factories",
        "training.generators",
        "training.state",
        "seeds",
        "torch",
    },
    "training.process": {"config", "training.generators", "torch"},
    "training.state": {"torch"},
    "training.batch_norm": {"torch"},
    "training.models": {
        "attachments",
        "config",
        "training.batch_norm",
        "training.foreign_networks",
        "training.pixel_layers",
        "seeds",
        "torch",
    },
    "training.pixel_layers": {"torch"},
    "training.augmentation": {"config", "seeds", "torch"},
    "training.optimization": {"config", "training.models", "training.optimizers", "torch"},
    "training.optimizers": {"torch"},
    "training.schedule": {"config", "training.optimizers", "torch"},
    "training.capture": {"torch"},
    "training.fetch": {"torch"},
    "training.resident": {"data", "torch"},
    "training.epoch": {"training.state", "torch"},
    "training.capacity": {"torch"},
    "training.pack": {"errors", "training.capacity", "training.epoch", "training.state", "torch"},
    "training.steps": {
        "training.augmentation",
        "training.capture",
        "config",
        "training.foreign_networks",
        "training.losses",
        "training.models",
        "training.optimization",
        "seeds",
        "training.transforms",
        "torch",
    },
    "training": {"training.epoch", "training.epochs"},
    "training.epochs": {
        "attachments",
        "config",
        "data",
        "training.epoch",
        "errors",
        "training.fetch",
        "training.foreign_networks",
        "training.generators",
        "training.losses",
        "training.metrics",
        "training.models",
        "training.normalization",
        "training.pretrained",
        "training.process",
        "training.resident",
        "training.schedule",
        "seeds",
        "training.state",
        "training.steps",
        "training.transforms",
        "torch",
    },
    # training and torch inside functions
    "running.source": {"config", "data", "environment", "training", "training.state", "trial", "torch"},
    # training inside functions
    "running.host": {
        "torch",
        "config",
        "data",
        "running.estimate",
        "running.source",
        "training.capacity",
        "training.epochs",
        "training.pack",
        "training.state",
        "trial",
        "ray",
    },
    "running.broker": {"running.host", "running.machine", "study", "ray"},  # host and ray inside functions
    "running.lease": {"errors", "running.host", "running.source", "trial", "ray"},  # ray inside functions, host for types alone
    "running.trainable": {
        "data",
        "errors",
        "ledger",
        "running.lease",
        "running.meter",
        "running.source",
        "trial",
        "ray",
    },
    "running.meter": {"errors", "ledger", "ray"},  # ray inside a function
    "running.check": {"code", "config", "data", "errors", "training", "trial", "torch"},  # training and torch inside functions
    "running": set(),
    "running.interruption": set(),
    "running.ray_log": {"errors"},
    "running.machine": {"errors", "torch"},
    "running.estimate": {"config", "errors", "ledger", "training", "torch"},  # training and torch inside functions
    "running.standing": {"ledger"},
    "running.confirmation": {"errors", "ledger", "running.standing", "tuning"},
    "running.study_record": {"data", "running.confirmation"},
    "running.announcements": {"running.estimate", "running.study_record"},
    "running.display": {"running.estimate", "ledger", "running.live"},
    "running.live": {"running.display", "running.estimate"},
    "running.progress": {"running.estimate", "running.meter", "ledger"},
    # of the read half the arithmetic, and what a design judges, since the plan prices what the report will say
    "running.spread": {"analysis.crossed", "analysis.families", "errors", "ledger"},
    "running.price": {"analysis.families", "budget", "ledger", "power", "running.estimate", "running.meter", "running.spread"},
    "running.draws": {"config", "running.estimate", "search"},
    "running.plan": {
        "packing",
        "running.check",
        "running.confirmation",
        "running.display",
        "running.draws",
        "environment",
        "errors",
        "running.estimate",
        "running.connection",
        "ledger",
        "running.machine",
        "running.price",
        "ray",
    },  # connection and ray inside a function
    "running.plan_tables": {"running.plan", "running.price"},
    "running.connection": {"errors", "running.machine", "ray"},
    "running.relay": {"errors", "running.meter", "running.trainable", "ray"},
    "running.work": {"ledger", "running.confirmation", "running.estimate", "running.standing"},
    "running.experiment": {
        "running.broker",
        "running.connection",
        "environment",
        "errors",
        "running.interruption",
        "ledger",
        "running.machine",
        "running.meter",
        "running.ray_log",
        "running.relay",
        "running.scheduling",
        "running.trainable",
        "ray",
    },
    "running.scheduling": {"ray"},
    "running.runner": {
        "running.announcements",
        "running.check",
        "running.connection",  # inside a function
        "running.display",
        "environment",
        "errors",
        "running.estimate",
        "running.experiment",  # inside a function
        "running.interruption",
        "ledger",
        "running.machine",
        "running.meter",
        "running.progress",
        "running.standing",
        "running.study_record",
        "running.trainable",
        "running.work",
    },
    "tune": {
        "analysis",
        "command",
        "running.display",
        "running.estimate",
        "errors",
        "ledger",
        "running.plan",
        "running.plan_tables",
        "running.runner",
        "study",
        "study_file",
    },
    "analysis": {"analysis", "atomic", "config", "data.duplicates", "errors", "factors", "ledger", "power"},
    "trained_model": {
        "attachments",
        "code",
        "config",
        "errors",
        "training.models",
        "training.normalization",
        "torch",
    },  # torch inside functions
    "onnx_file": {"errors", "trained_model", "torch"},
    "export": {"atomic", "command", "errors", "ledger", "onnx_file", "trained_model"},
    "predict": {"command", "data", "errors", "trained_model"},
    "report": {"analysis", "command", "errors", "ledger", "study", "study_file"},
}


def imported(file: Path) -> set[str]:
    """The modules of ferray (`config`, `ledger.writer`), ray and torch that a file imports, apart from those for annotations only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {
                name for name in below if name.removeprefix("ferray.") in MODULES or f"{name.removeprefix('ferray.')}.__init__" in MODULES
            }
            names |= modules | ({node.module} if below - modules and node.module != "ferray" else set())
    ours = {name.removeprefix("ferray.") for name in names if name.startswith("ferray.")}
    return ours | {name.split(".")[0] for name in names} & {"ray", "torch", "torchvision"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_allows(module: str) -> None:
    if module == "__init__":
        return
    name = module.removesuffix(".__init__")
    named = name if name in ALLOWED else name.split(".")[0]  # the modules of a package may have one line
    assert named in ALLOWED, f"say in ALLOWED what {module} may import"
    layers = ALLOWED[named]
    assert {one for one in imported(MODULES[module]) if one not in layers and one.split(".")[0] not in layers} == set()


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
