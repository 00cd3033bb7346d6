"""The sums of a checkout: which of them are wrong, and what each line is worth.

worth of a line = amount + its tax (unless prices include it) - its discount
subtotal = all amounts · total = subtotal + tax (unless included) · purchased = total - discounts = all lines' worth
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from services.checkout.domain.line_taxes import CheckoutLine, LineTax, RateTax, line_taxes, rate_of, rate_taxes
from shared.contracts.providers import DEFAULT, step_of
from shared.contracts.storefront import CheckoutSubmitted, DeliveryCharge, SubmittedItem
from shared.core import Problem
from shared.core.fast_dataclasses import fast
from shared.core.money import MAX_AMOUNT, allocate, decimal_string


@fast
@dataclass(frozen=True, slots=True)
class LineSums:
    """What a line adds to the order's sums."""

    amount: int
    discount: int
    tax: LineTax
    purchased: int


def line_sums(message: CheckoutSubmitted) -> list[LineSums]:
    """Of a checkout without problems: of its items, then of its delivery charges.

    The purchased amounts are the lines' worth, to the provider's step: where a worth is between two, one of the two.
    """
    lines = _lines(message)
    taxes = _taxes(lines, message)
    gross = _gross(lines, taxes, message)
    discounts = _discounts(lines, gross, message)
    worth = [amount - discount for amount, discount in zip(gross, discounts, strict=True)]
    purchased = allocate(message.purchased, worth, step_of(DEFAULT, message.currency))
    parts = zip(lines, discounts, taxes, purchased, strict=True)
    return [LineSums(line.amount, discount, tax, part) for line, discount, tax, part in parts]


def _lines(message: CheckoutSubmitted) -> list[CheckoutLine]:
    items = [
        _line(f"items.{i}", f"SKU {it.sku}", it.quantity * it.unit_price, it) for i, it in enumerate(message.items)
    ]
    charges = [_line(f"deliveries.{i}", f"delivery {i}", it.amount, it) for i, it in enumerate(message.deliveries)]
    return items + charges


def _line(field: str, article: str, amount: int, given: SubmittedItem | DeliveryCharge) -> CheckoutLine:
    return CheckoutLine(field, article, amount, given.discount, given.tax, given.tax_rate, given.tax_country)


def _taxes(lines: Sequence[CheckoutLine], message: CheckoutSubmitted) -> list[LineTax]:
    return line_taxes(lines, message.taxes, included=message.prices_include_tax)


def _gross(lines: Sequence[CheckoutLine], taxes: Sequence[LineTax], message: CheckoutSubmitted) -> list[int]:
    """What each line costs before discounts."""
    if message.prices_include_tax:
        return [line.amount for line in lines]
    return [line.amount + tax.amount for line, tax in zip(lines, taxes, strict=True)]


def _discounts(lines: Sequence[CheckoutLine], gross: Sequence[int], message: CheckoutSubmitted) -> list[int]:
    if _say_discounts(lines):
        return [line.discount or 0 for line in lines]
    return allocate(sum(discount.amount for discount in message.discounts), gross)


def _say_discounts(lines: Sequence[CheckoutLine]) -> bool:
    return any(line.discount is not None for line in lines)


# What is wrong


def problems(message: CheckoutSubmitted) -> Iterator[Problem]:
    """Every sum that is wrong, with what it should be: computed from the lines, so that only wrong ones are named."""
    lines, currency = _lines(message), message.currency
    wrong_taxes = list(_tax_problems(lines, message))
    yield from wrong_taxes
    yield from _discount_problems(lines, message, taxes_known=not wrong_taxes)
    if not wrong_taxes:
        yield from _percent_problems(lines, message)
    subtotal, tax = sum(line.amount for line in lines), sum(tax.amount for tax in message.taxes)
    amounts = "quantity × unit price and the delivery charges" if message.deliveries else "quantity × unit price"
    yield from _sum("subtotal", message.subtotal, subtotal, f"the sum of {amounts}", currency)
    yield from _sum("tax", message.tax, tax, "the sum of the tax lines", currency)
    total = subtotal if message.prices_include_tax else subtotal + tax
    if total > MAX_AMOUNT:
        yield Problem(field="total", code="amount_too_large", text=f"The total exceeds {MAX_AMOUNT} minor units.")
        return
    rule = "the subtotal, which includes the tax," if message.prices_include_tax else "subtotal + tax"
    yield from _sum("total", message.total, total, rule, currency)
    discount = sum(discount.amount for discount in message.discounts)
    if discount > max(total, 0):
        yield _at_most("discounts", "discount_too_large", "The discounts exceed the total of", total, currency)
    else:
        yield from _sum("purchased", message.purchased, total - discount, "total - discounts", currency)


def _tax_problems(lines: Sequence[CheckoutLine], message: CheckoutSubmitted) -> Iterator[Problem]:
    """Where the lines' own taxes are not those of the tax lines, or are more than prices can include."""
    rates, saying = rate_taxes(message.taxes), [line for line in lines if line.says_tax]
    mixed = any(line.tax and sum(rate.matches(line) for rate in rates) > 1 for line in saying)
    for line in saying:
        yield from _line_tax_problems(line, rates, mixed=mixed)
    if mixed:
        sums = sum(line.tax or 0 for line in saying)
        given = sum(rate.amount for rate in rates)
        yield from _sum("taxes", given, sums, "the sum of the lines' own taxes", message.currency, "Sum to")
    for rate in rates if saying else ():
        members = [line for line in saying if rate_of(line, rates) is rate]
        yield from _rate_problems(rate, members, message.currency, mixed=mixed)
    if message.prices_include_tax:
        yield from _included_problems(lines, message, mixed=mixed)


def _line_tax_problems(line: CheckoutLine, rates: Sequence[RateTax], *, mixed: bool) -> Iterator[Problem]:
    """`mixed`: some line has the taxes of several rates, so that what is left of each is not known."""
    matching = [rate for rate in rates if rate.matches(line)]
    if line.is_exempt or (not matching and line.comes_to_no_tax):
        return
    if not matching:
        named = (f" of {line.rate} %" if line.rate else "") + (f" in {line.country}" if line.country else "")
        name = "tax_rate" if line.rate else "tax"
        yield Problem(field=f"{line.field}.{name}", code="unknown_tax", text=f"There is no tax line{named}.")
    elif len(matching) > 1 and line.rate is not None:
        text = f"Several tax lines have {line.rate} %. Specify the country."
        yield Problem(field=f"{line.field}.tax_country", code="tax_country_missing", text=text)
    elif line.tax is None and (mixed or len(matching) > 1):
        text = "Specify the amount, which does not follow from the tax lines."
        yield Problem(field=f"{line.field}.tax", code="tax_missing", text=text)


def _rate_problems(rate: RateTax, lines: Sequence[CheckoutLine], currency: str, *, mixed: bool) -> Iterator[Problem]:
    stated = sum(line.tax or 0 for line in lines)
    shared = mixed or any(line.tax is None for line in lines)
    if rate.amount < stated or not shared:
        yield from _sum(rate.field, rate.amount, stated, f"the sum of the lines' own taxes of {rate}", currency)


def _included_problems(lines: Sequence[CheckoutLine], message: CheckoutSubmitted, *, mixed: bool) -> Iterator[Problem]:
    """No line's tax is more than its price: neither what it says, nor its share of what is left of its rate's tax."""
    for line in lines:
        if line.tax is not None and line.tax > line.amount:
            what = "The price includes the tax, which can be at most"
            yield _at_most(f"{line.field}.tax", "tax_too_large", what, line.amount, message.currency)
    shared = [] if mixed else list(_included_rate_problems(lines, message))
    yield from shared
    subtotal, tax = sum(line.amount for line in lines), sum(tax.amount for tax in message.taxes)
    if tax > subtotal and not shared:
        what = "The prices include the taxes, which can be at most"
        yield _at_most("taxes", "tax_too_large", what, subtotal, message.currency)


def _included_rate_problems(lines: Sequence[CheckoutLine], message: CheckoutSubmitted) -> Iterator[Problem]:
    """Lines that say their rate only share what is left of its tax."""
    rates = rate_taxes(message.taxes)
    for rate in rates:
        members = [line for line in lines if rate_of(line, rates) is rate]
        silent = [line.amount for line in members if line.tax is None]
        most = sum(line.tax or 0 for line in members) + sum(silent)
        if silent and rate.amount > most:
            what = f"The prices of its lines include the tax of {rate}, which can be at most"
            yield _at_most(rate.field, "tax_too_large", what, most, message.currency)


def _discount_problems(
    lines: Sequence[CheckoutLine], message: CheckoutSubmitted, *, taxes_known: bool
) -> Iterator[Problem]:
    if not _say_discounts(lines):
        return
    given, sums = sum(discount.amount for discount in message.discounts), sum(line.discount or 0 for line in lines)
    yield from _sum("discounts", given, sums, "the sum of the lines' own discounts", message.currency, "Sum to")
    if not taxes_known or min(line.amount for line in lines) < 0:
        return
    for line, gross in zip(lines, _gross(lines, _taxes(lines, message), message), strict=True):
        if (line.discount or 0) > gross:
            what = "The discount exceeds the line's"
            yield _at_most(f"{line.field}.discount", "discount_too_large", what, gross, message.currency)


def _percent_problems(lines: Sequence[CheckoutLine], message: CheckoutSubmitted) -> Iterator[Problem]:
    """A discount with a per cent is that of the total; or of the lines that say their own discounts. Which of those
    several discounts are for is not known: then it is at most of all of them."""
    rated = [(i, discount) for i, discount in enumerate(message.discounts) if discount.percent]
    if not rated or min((line.amount for line in lines), default=0) < 0:
        return
    costs, step = _gross(lines, _taxes(lines, message), message), step_of(DEFAULT, message.currency)
    if on_lines := _say_discounts(lines):
        costs = [cost for line, cost in zip(lines, costs, strict=True) if line.discount]
    whole = sum(costs)
    for i, discount in rated:
        percent, field = Fraction(discount.percent or 0), f"discounts.{i}.amount"
        of_all = {_rounded(whole * percent / 100, 1), _rounded(whole * percent / 100, step)}
        of_each = sum(_rounded(cost * percent / 100, 1) for cost in costs)
        rule = f"{discount.percent} % of {_money(whole, message.currency)}"
        if on_lines and len(message.discounts) > 1:
            most = max(*of_all, of_each)
            if discount.amount > most:
                yield _at_most(field, "discount_too_large", f"{rule} is at most", most, message.currency)
        elif discount.amount not in of_all | ({of_each} if on_lines else set()):
            right = _rounded(whole * percent / 100, 1)
            yield from _sum(field, discount.amount, right, rule, message.currency)


def _rounded(amount: Fraction, step: int) -> int:
    """To a multiple of the step, half of one up."""
    return floor(amount / step + Fraction(1, 2)) * step


def _sum(field: str, given: int, right: int, rule: str, currency: str, verb: str = "Is") -> Iterator[Problem]:
    if given != right:
        text = f"{verb} {_money(given, currency)}, but {rule} is {_money(right, currency)}."
        yield Problem(field=field, code="wrong_sum", text=text)


def _at_most(field: str, code: str, what: str, most: int, currency: str) -> Problem:
    return Problem(field=field, code=code, text=f"{what} {_money(most, currency)}.")


def _money(amount: int, currency: str) -> str:
    """Also of sums that are larger than an amount may be."""
    return f"{decimal_string(amount, currency)} {currency}"
