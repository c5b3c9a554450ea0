"""One seed for a trial, and from it one independent stream of random numbers for every purpose."""

from __future__ import annotations

import hashlib
import json


def derive(seed: int, *words: str | int) -> int:
    """The seed of the stream that the words name, in 0..2**63 - 1, by SHA-256 of the seed and the words.

    Every use of chance (a parameter's initialisation, an epoch's order, a transform's draws) has a stream of its own, so variants
    with the same seed share the draws that they have in common, and taking one use away leaves the others as they were.
    """
    text = json.dumps([seed, *words], ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
