from __future__ import annotations

import subprocess
import sys

from ferray.seeds import derive


def test_a_derived_seed_never_changes() -> None:
    assert derive(0, "order", 1) == 8677279991123922410


def test_every_seed_word_and_boundary_between_words_counts() -> None:
    variants = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a", "1"), (0, "a"), (0, "a1"), (0, "a", 1, ""), (0, 1, "a")]
    assert len({derive(*variant) for variant in variants}) == len(variants)


def test_derived_seeds_fit_into_63_bits_and_spread_over_them() -> None:
    seeds = [derive(seed, "x") for seed in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == 2000
    assert 0.45 < sum(seeds) / 2000 / 2**63 < 0.55


def test_the_largest_seed_of_a_config_can_be_derived_from() -> None:
    assert derive(2**63 - 1, "order", 1) != derive(2**63 - 2, "order", 1)


def test_importing_seeds_loads_no_torch() -> None:
    program = "import sys, ferray.seeds; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
