"""The tax of each line of a checkout: as the lines say, or else as the rates and amounts of the tax lines tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import combinations

from shared.contracts.values import TaxLine
from shared.core.fast_dataclasses import fast
from shared.core.money import allocate

MOST_ARTICLES = 8
"""With more, and no word of the lines about their taxes, the tax is split in proportion."""
RATE_DECIMALS = 4
"""At most."""
WHOLE = 100 * 10**RATE_DECIMALS


@lru_cache(maxsize=1000)
def per_million(rate: str) -> int:
    """`"19.5"` as 195,000."""
    return int(Decimal(rate).scaleb(RATE_DECIMALS))


@fast
@dataclass(frozen=True, slots=True)
class CheckoutLine:
    """A product or a delivery charge, as submitted. Amounts in minor units."""

    field: str
    """Where it stands in the message: `items.0`."""
    article: str
    """Lines of one SKU have the same taxes."""
    amount: int
    """Before discounts, and before tax unless prices include it."""
    discount: int | None = None
    tax: int | None = None
    rate: str | None = None
    country: str | None = None

    @property
    def says_tax(self) -> bool:
        return not (self.tax is None and self.rate is None and self.country is None)

    @property
    def is_exempt(self) -> bool:
        return self.tax == 0 or (self.tax is None and self.rate is not None and not per_million(self.rate))

    @property
    def comes_to_no_tax(self) -> bool:
        """The tax on what its discount leaves may be rounded to nothing, whether or not the price includes it."""
        if self.tax is not None or self.rate is None:
            return False
        left, rate = self.amount - (self.discount or 0), per_million(self.rate)
        return bool(2 * left * rate <= WHOLE + rate)


@fast
@dataclass(frozen=True, slots=True)
class RateTax:
    """All tax lines of one rate and country."""

    rate: str
    country: str
    amount: int
    field: str
    """Where the first of them stands in the message."""

    def matches(self, line: CheckoutLine) -> bool:
        same_rate = line.rate is None or per_million(line.rate) == per_million(self.rate)
        return same_rate and line.country in (None, self.country)

    def fits(self, base: int, lines: int, *, included: bool) -> bool:
        """Whether it can be the tax on so many lines of this sum, each rounded up or down."""
        rate = per_million(self.rate)
        whole = WHOLE + rate if included else WHOLE
        return abs(base * rate - self.amount * whole) < lines * whole and not (included and self.amount > base)

    def __str__(self) -> str:
        return f"{self.rate} % in {self.country}"


@fast
@dataclass(frozen=True, slots=True)
class LineTax:
    """The part of one line, with the rate and country where it is the tax of one only."""

    amount: int = 0
    rate: str | None = None
    country: str | None = None


NO_TAX = LineTax()


def rate_taxes(taxes: Sequence[TaxLine]) -> list[RateTax]:
    found: dict[tuple[int, str], RateTax] = {}
    for index, tax in enumerate(taxes):
        key = per_million(tax.rate), tax.country
        known = found.get(key) or RateTax(tax.rate, tax.country, 0, f"taxes.{index}.amount")
        found[key] = RateTax(known.rate, known.country, known.amount + tax.amount, known.field)
    return list(found.values())


def rate_of(line: CheckoutLine, rates: Sequence[RateTax]) -> RateTax | None:
    """The one that a line says its tax is of; None: exempt, of several, or of none that there is."""
    matching = [] if line.is_exempt or not line.says_tax else [rate for rate in rates if rate.matches(line)]
    return matching[0] if len(matching) == 1 else None


def line_taxes(lines: Sequence[CheckoutLine], taxes: Sequence[TaxLine], *, included: bool) -> list[LineTax]:
    """They sum to the tax lines', of a checkout without problems. No amount may be negative."""
    rates = rate_taxes(taxes)
    if not rates and not any(line.says_tax for line in lines):
        return [NO_TAX] * len(lines)
    if any(line.says_tax for line in lines):
        return _by_word_of_the_lines(lines, rates)
    return _by_base(lines, rates, included=included) or _in_proportion(lines, rates, included=included)


def _by_word_of_the_lines(lines: Sequence[CheckoutLine], rates: Sequence[RateTax]) -> list[LineTax]:
    amounts = [line.tax or 0 for line in lines]
    meant = [rate_of(line, rates) for line in lines]
    for rate in rates:
        members = [index for index, one in enumerate(meant) if one is rate]
        silent = [index for index in members if lines[index].tax is None]
        rest = rate.amount - sum(amounts[index] for index in members)
        shares = allocate(rest, [lines[index].amount for index in silent]) if silent else []
        for index, share in zip(silent, shares, strict=True):
            amounts[index] = share
    return [
        LineTax(amount, rate.rate if rate else line.rate, rate.country if rate else line.country)
        for line, amount, rate in zip(lines, amounts, meant, strict=True)
    ]


def _by_base(lines: Sequence[CheckoutLine], rates: Sequence[RateTax], *, included: bool) -> list[LineTax] | None:
    """None unless rates and amounts leave one possibility only of which articles each tax is on, in which no line
    includes more tax than its price."""
    priced = [line for line in lines if line.amount]
    taxed = [rate for rate in rates if rate.amount]
    if len({line.article for line in priced}) > MOST_ARTICLES or _are_on_all(taxed, priced, included=included):
        return None
    selections = list(_selections(priced))
    amounts = [0] * len(lines)
    on: list[list[RateTax]] = [[] for _ in lines]
    for rate in taxed:
        fitting = [articles for articles, base, count in selections if rate.fits(base, count, included=included)]
        if len(fitting) != 1:
            return None
        members = [index for index, line in enumerate(lines) if line.amount and line.article in fitting[0]]
        for index, share in zip(members, allocate(rate.amount, [lines[i].amount for i in members]), strict=True):
            amounts[index] += share
            on[index].append(rate)
    if included and any(amount > line.amount for amount, line in zip(amounts, lines, strict=True)):
        return None
    return [_labelled(amount, of) for amount, of in zip(amounts, on, strict=True)]


def _selections(lines: Sequence[CheckoutLine]) -> Iterator[tuple[Collection[str], int, int]]:
    """Every choice of articles, with the sum and number of their lines."""
    sums: dict[str, tuple[int, int]] = {}
    for line in lines:
        amount, count = sums.get(line.article, (0, 0))
        sums[line.article] = amount + line.amount, count + 1
    for size in range(1, len(sums) + 1):
        for articles in combinations(sums, size):
            yield articles, sum(sums[name][0] for name in articles), sum(sums[name][1] for name in articles)


def _in_proportion(lines: Sequence[CheckoutLine], rates: Sequence[RateTax], *, included: bool) -> list[LineTax]:
    parts = allocate(sum(rate.amount for rate in rates), [line.amount for line in lines])
    of = rates if _are_on_all(rates, lines, included=included) else ()
    return [_labelled(part, of) for part in parts]


def _are_on_all(rates: Sequence[RateTax], lines: Sequence[CheckoutLine], *, included: bool) -> bool:
    base = sum(line.amount for line in lines)
    return all(rate.fits(base, len(lines), included=included) for rate in rates)


def _labelled(amount: int, of: Sequence[RateTax]) -> LineTax:
    return LineTax(amount, of[0].rate, of[0].country) if len(of) == 1 else LineTax(amount)
