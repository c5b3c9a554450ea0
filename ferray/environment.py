"""What a trial ran on: versions, the code's commit, the machine."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path

import ferray

KERNELS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")
"""Instructions of processors by which PyTorch's libraries choose how they compute, as Linux calls them."""


def describe() -> dict[str, str | bool | None]:
    """Versions, commit (None where ferray does not run from a git checkout), whether that tree was dirty, host and processor.

    ``instructions`` are those of the processor by which libraries choose their kernels, and with them the order of sums.
    """
    commit = _git("rev-parse", "HEAD")
    return {
        "ferray": ferray.__version__,
        "commit": commit,
        "dirty": None if commit is None else bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "torchvision", "ray", "numpy")},
        "host": platform.node(),
        "platform": platform.platform(),
        "processor": processor(),
        "instructions": instructions(),
    }


@cache
def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _git(*arguments: str) -> str | None:
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def instructions() -> str | None:
    """Which of the instructions that decide on kernels the processor has (``avx2, avx512f``); None where the system does not tell."""
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split()
    except OSError:
        return None
    there = set(words)
    return ", ".join(name for name in KERNELS if name in there) or None
