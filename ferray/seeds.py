"""The seeds of a study; one for a trial, and from it one independent stream of random numbers for every purpose."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from ferray.errors import reads_as_number

MOST_SEEDS = 100_000


def _number_or_list(given: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(given)
    except ValidationError:  # it would tell of each of the two ways by itself
        quotes = " without quotes" if isinstance(given, str) and reads_as_number(given) else ""
        raise ValueError(f"how many (a whole number from 1 to {MOST_SEEDS:,}{quotes}), or a list of them") from None


Seeds = Annotated[
    Annotated[int, Field(ge=1, le=MOST_SEEDS)]
    | Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1, max_length=MOST_SEEDS)],
    WrapValidator(_number_or_list),
]
"""How many, or which."""


def derive(seed: int, *words: str | int) -> int:
    """The seed of the stream that the words name, in 0..2**63 - 1, by SHA-256 of the seed and the words.

    Every use of chance (a parameter's initialisation, an epoch's order, a transform's draws) has a stream of its own, so variants
    with the same seed share the draws that they have in common, and taking one use away leaves the others as they were.
    """
    text = json.dumps([seed, *words], ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
