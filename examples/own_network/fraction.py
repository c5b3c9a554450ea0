"""The study of fraction.yaml in Python: which parts of the network need one another.

    python make_images.py
    python fraction.py

The records lie in ferray_results; the same command again trains only what is not there.
"""

from __future__ import annotations

from pathlib import Path

from ferray import Ablation, Results, Study
from ferray.analysis.factorial_claims import factorial_claims

ablation = Ablation(
    design="fractional",
    resolution="IV",
    remove=["augmentation", "residual", "block_norm", "penalties"],
    factors={
        "residual": {"model_arguments.residual": False},
        "block_norm": {"model_arguments.batch_norm": False},
        "penalties": ["l1", "l2"],
    },
)
study = Study(
    name="own-network-fraction",
    title="Which parts of a small residual network need one another, on handwritten digits",
    data={"source": "images", "path": "images"},
    base={
        "model": "./network.py:Network",
        "model_arguments": {"width": 16, "depth": 3, "residual": True, "batch_norm": True},
        "epochs": 5,
        "batch_size": 64,
        "l1": 1e-5,
        "l2": 1e-4,
        "augmentation": {"rotation": 10, "shift": 0.1},
    },
    ablate=ablation,
    seeds=3,
).beside(Path(__file__).parent)  # where network.py and the images lie

if __name__ == "__main__":
    print(*ablation.sentences(), sep="\n")  # the aliases among them
    study.run("ferray_results")
    for claim in factorial_claims(Results.load("ferray_results", study.name)):
        print(claim.sentence)
