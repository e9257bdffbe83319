"""How numbers and names are written for a reader, in the report and on the console.

Whatever has no value (None, not a number, infinite) is written '–', so nothing here raises.
"""

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

NOTHING = "–"
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}

_POLICIES = {
    "no_offers": "No offers",
    "random": "Random",
    "blanket": "Blanket",
    "rfm_rules": "RFM rules",
    "triggers": "Triggers",
    "clv_greedy": "CLV first",
    "churn_clv": "Value at risk first",
    "experiment": "Experiment",
    "uplift": "Uplift",
    "lin_ucb": "LinUCB",
    "lin_ts": "LinTS",
    "maskable_ppo": "MaskablePPO",
}
_STATISTICS = {
    "weekly_purchases": "Purchases per week",
    "share_of_zeros": "Weeks without purchase",
    "variance_over_mean": "Variance / mean",
    "top_20_share": "Spend of the top 20 %",
    "basket_mean": "Basket, mean",
    "basket_median": "Basket, median",
    "annual_spend_mean": "Annual spend, mean",
    "annual_spend_cv": "Annual spend, sd / mean",
}
_RESPONSES = {"null": "Offers change nothing", "literature": "Literature effects"}


def number_or_none(value: object) -> float | None:
    """A finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def numbers(values: object) -> list[float | None]:
    """A series for a figure: what is no number is a gap."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, Sequence) or isinstance(values, str):
        return []
    return [number_or_none(value) for value in values]


def part(summary: object, name: str) -> Mapping[str, Any]:
    """A mapping inside a mapping, empty where there is none."""
    inner = summary.get(name) if isinstance(summary, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def rows(summary: object, name: str) -> list[Mapping[str, Any]]:
    """A list of mappings inside a mapping, empty where there is none."""
    inner = summary.get(name) if isinstance(summary, Mapping) else None
    if not isinstance(inner, Sequence) or isinstance(inner, str):
        return []
    return [row for row in inner if isinstance(row, Mapping)]


def texts(value: object) -> list[str]:
    """A list of names, empty where there is none."""
    if isinstance(value, str):
        return [value]
    return [str(one) for one in value if one is not None] if isinstance(value, Sequence) else []


def decimal(value: object, digits: int = 0, sign: bool = False) -> str:
    """A fixed number of decimals, thousands separated, a true minus sign."""
    number = number_or_none(value)
    if number is None:
        return NOTHING
    text = f"{abs(number):,.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    return _signed(number, text, sign)


def significant(value: object, digits: int = 3) -> str:
    """About so many significant digits, and no exponent for everyday sizes."""
    number = number_or_none(value)
    if number is None:
        return NOTHING
    if number == 0:
        return "0"
    size = math.floor(math.log10(abs(number)))
    if not -4 <= size <= 9:
        return f"{number:.{digits - 1}e}".replace("-", "−")
    return decimal(number, max(0, digits - 1 - size))


def compact(value: object) -> str:
    """As few digits as the number has."""
    number = number_or_none(value)
    return NOTHING if number is None else f"{number:,.10g}".replace("-", "−")


def count_of(value: object, unit: str) -> str:
    """'1 week', '4 weeks'."""
    return f"{decimal(value)} {unit}{'' if value == 1 else 's'}"


def money(value: object, currency: object, digits: int = 0, sign: bool = False) -> str:
    """An amount in currency units, '−$1,234' or '−CHF 1,234'."""
    number = number_or_none(value)
    if number is None:
        return NOTHING
    code = str(currency or "")
    symbol = _SYMBOLS.get(code, f"{code} " if code else "")
    text = f"{abs(number):,.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        return symbol + text
    return _signed(number, symbol + text, sign)


def percent(value: object, digits: int = 0, sign: bool = False) -> str:
    """A share, written in percent."""
    number = number_or_none(value)
    return NOTHING if number is None else f"{decimal(100 * number, digits, sign)} %"


def points_of_percent(value: object, digits: int = 2) -> str:
    """A difference of shares, in percentage points."""
    number = number_or_none(value)
    return NOTHING if number is None else f"{decimal(100 * number, digits, sign=True)} pp"


def interval(low: str, high: str) -> str:
    """'low to high', or nothing where an end is missing."""
    return NOTHING if NOTHING in (low, high) else f"{low} to {high}"


def duration(value: object) -> str:
    """Seconds, or minutes and seconds."""
    number = number_or_none(value)
    if number is None:
        return NOTHING
    if number < 100:
        return f"{number:.1f} s"
    return f"{int(number // 60)} min {int(number % 60):02d} s"


def currency_of(summary: object) -> object:
    """The currency of a run's log."""
    return part(summary, "data").get("currency")


def policy_name(name: object) -> str:
    """A policy for a reader."""
    return _POLICIES.get(str(name), plain(name))


def response_name(name: object) -> str:
    """A response world for a reader."""
    return _RESPONSES.get(str(name), f"World {plain(name)}")


def statistic_name(name: object) -> str:
    """A statistic of a log for a reader."""
    lag = re.fullmatch(r"(?:auto)?correlation_(\d+)(?:_weeks)?", str(name))
    if lag is not None:
        return f"Correlation {count_of(int(lag[1]), 'week')} apart"
    return _STATISTICS.get(str(name), plain(name))


def plain(name: object) -> str:
    """'weekly_purchases' as 'Weekly purchases'; text that is no identifier is left alone."""
    if name is None:
        return NOTHING
    text = str(name)
    if not text.replace("_", "").isalnum() or not text.islower():
        return text
    return text.replace("_", " ").capitalize()


def yes_no(value: object) -> str:
    """'yes', 'no', or nothing."""
    return NOTHING if value is None else "yes" if value else "no"


def join(names: Sequence[str]) -> str:
    """'a, b and c'."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _signed(number: float, text: str, sign: bool) -> str:
    return f"−{text}" if number < 0 else f"+{text}" if sign else text
