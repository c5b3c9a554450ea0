"""Regular fractions of two-level factorials: which combinations of factors to try, and which effects they cannot tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LETTERS = "ABCDEFGHJKL"
GENERATORS: Mapping[int, tuple[str, ...]] = {
    3: ("C=AB",),
    4: ("D=ABC",),
    5: ("D=AB E=AC", "E=ABCD"),
    6: ("D=AB E=AC F=BC", "E=ABC F=BCD", "F=ABCDE"),
    7: ("D=AB E=AC F=BC G=ABC", "E=ABC F=BCD G=ACD", "G=ABCDEF"),
    8: ("E=BCD F=ACD G=ABC H=ABD", "G=ABCD H=ABEF"),
    9: ("E=ABC F=BCD G=ACD H=ABD J=ABCD", "F=BCDE G=ACDE H=ABDE J=ABCE", "H=ACDFG J=BCEFG"),
    10: ("E=ABC F=BCD G=ACD H=ABD J=ABCD K=AB", "F=ABCD G=ABCE H=ABDE J=ACDE K=BCDE", "H=ABCG J=BCDE K=ACDF"),
    11: ("E=ABC F=BCD G=ACD H=ABD J=ABCD K=AB L=AC", "F=ABC G=BCD H=CDE J=ACD K=ADE L=BDE", "H=ABCG J=BCDE K=ACDF L=ABCDEFG"),
}
"""By the number of factors, the generators of the smallest fractions of resolution III, IV and V or more, from small to large.

They are those of Box, Hunter and Hunter, "Statistics for Experimenters", second edition, 2005, table 6.22, and of the NIST/SEMATECH
e-Handbook of Statistical Methods, section 5.3.3.4.7: of minimum aberration (Fries and Hunter, "Minimum aberration 2^(k-p) designs",
Technometrics 22, 1980), that is, with as few of the shortest words in the defining relation as fractions of their size can have.
"""

MOST_FACTORS = max(GENERATORS)
LONGEST_ALIAS = 3
"""Interactions of more factors are left out of lists of aliases; the defining relation has them all."""
MOST_WORDS = 15
"""Words of a defining relation that are told to people."""
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}


@dataclass(frozen=True)
class Fraction:
    """A fraction of the factorial of ``factors``, given by the generators of its last ones, in which nothing taken away is a member.

    With +1 for a factor that is there and -1 for one that is taken away, a generator says of which others' product a factor is. The
    products of the generators' words are the *defining relation*: their signs are +1 in every member, so that effects whose words
    multiply to one of them are the same contrast of the members, and no analysis tells them apart. The *resolution* is the length of
    the shortest word: from III on no main effect is another, from IV on none is an interaction of two, and from V on no interaction of
    two is another one.
    """

    factors: tuple[str, ...]
    generators: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """Members."""
        return 1 << (len(self.factors) - len(self.generators))

    @property
    def words(self) -> list[tuple[str, ...]]:
        """The defining relation, the shortest words first."""
        products = [0]
        for factor, others in self.generators.items():
            word = self._bits((factor, *others))
            products += [product ^ word for product in products]
        return sorted((self._names(product) for product in products[1:]), key=self._order)

    @property
    def resolution(self) -> int:
        """The length of the shortest word."""
        return len(self.words[0])

    @property
    def removals(self) -> list[tuple[str, ...]]:
        """What each member takes away, from nothing on."""
        basic = [factor for factor in self.factors if factor not in self.generators]
        members = []
        for gone in _subsets(basic):
            follow = [factor for factor, others in self.generators.items() if len(set(others) & set(gone)) % 2]
            members.append(self._names(self._bits((*gone, *follow))))
        return sorted(members, key=self._order)

    def aliases(self) -> dict[str, list[str]]:
        """Of each main effect and each interaction of two factors, the effects of at most LONGEST_ALIAS factors that it is confused with.

        An effect is the names of its factors with a colon between them, such as ``l1:dropout``, in the order of ``factors``.
        """
        words = [self._bits(word) for word in self.words]
        found = {}
        for effect in _subsets(self.factors, 2):
            if effect:
                aliased = sorted((self._names(self._bits(effect) ^ word) for word in words), key=self._order)
                found[":".join(effect)] = [":".join(other) for other in aliased if len(other) <= LONGEST_ALIAS]
        return found

    def sentences(self) -> list[str]:
        """The resolution, the generators, the defining relation and what is confused with what, for people."""
        words, sets = self.words, self._alias_sets()
        generators = ", ".join(f"{factor} = {_product(others)}" for factor, others in self.generators.items())
        more = f" and {len(words) - MOST_WORDS} longer ones" if len(words) > MOST_WORDS else ""
        relation = " = ".join(["I", *(_product(word) for word in words[:MOST_WORDS])])
        clear = {3: "one another", 4: "one another and of interactions of two"}.get(
            self.resolution, "one another and of interactions of two, and these of one another"
        )
        return [
            f"resolution {ROMAN[self.resolution]}: main effects are clear of {clear}",
            f"generators: {generators}",
            f"defining relation: {relation}{more}",
            *(f"not told apart: {' = '.join(_product(effect) for effect in alike)}" for alike in sets),
        ]

    def _alias_sets(self) -> list[tuple[tuple[str, ...], ...]]:
        """The sets of main effects and interactions of two factors that are the same contrast."""
        found: dict[tuple[tuple[str, ...], ...], None] = {}
        for effect, others in self.aliases().items():
            alike = [tuple(one.split(":")) for one in [effect, *others]]
            short = tuple(sorted((one for one in alike if len(one) <= 2), key=self._order))
            if len(short) > 1:
                found[short] = None
        return list(found)

    def _bits(self, names: Sequence[str]) -> int:
        return sum(1 << self.factors.index(name) for name in names)

    def _names(self, bits: int) -> tuple[str, ...]:
        return tuple(factor for place, factor in enumerate(self.factors) if bits >> place & 1)

    def _order(self, names: Sequence[str]) -> tuple[int, list[int]]:
        return len(names), [self.factors.index(name) for name in names]


def fractions(factors: Sequence[str]) -> list[Fraction]:
    """The fractions of a factorial that there are, from small to large; none for fewer than three factors, or more than MOST_FACTORS."""
    names = dict(zip(LETTERS, factors, strict=False))
    found = []
    for line in GENERATORS.get(len(factors), ()):
        generators = [text.split("=") for text in line.split()]
        found.append(Fraction(tuple(factors), {names[one]: tuple(names[other] for other in product) for one, product in generators}))
    return found


def _product(effect: Sequence[str]) -> str:
    return " x ".join(effect)


def _subsets(names: Sequence[str], longest: int | None = None) -> Iterator[tuple[str, ...]]:
    """All subsets of at most so many names, the smaller ones first."""
    sizes = range((len(names) if longest is None else longest) + 1)
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in sizes)
