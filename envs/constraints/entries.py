"""Entries of the violation ledger: one a constraint, empty at first."""

from dataclasses import dataclass, field
from typing import Any

from envs.constraints.fairness import uses
from envs.constraints.names import EXPECTED, NATURE, Constraint
from envs.constraints.parameters import ConstraintParameters, ContactCap


@dataclass
class Entry:
    """What the ledger knows of one constraint.

    Attributes
    ----------
    name, kind, scope, limit
        Which one, and its limit in words.
    violations
        Times a hard constraint was found broken; must be 0.
    breaches
        Weeks, or runs, in which an expected constraint was not met.
    checked
        What was looked at: ``unit``, contacts or weeks.
    peak, mean
        Use as a share of the limit; None where a limit has no amount.
    bound
        Decisions it refused.
    """

    name: str
    kind: str
    scope: str
    limit: str
    unit: str = "contacts"
    violations: int = 0
    breaches: int = 0
    checked: int = 0
    peak: float | None = None
    bound: int = 0
    tolerated: float | None = None
    _uses: list[float] = field(default_factory=list)

    def use(self, share: float) -> None:
        """Note how much of the limit was used."""
        self._uses.append(share)
        self.peak = share if self.peak is None else max(self.peak, share)

    @property
    def mean(self) -> float | None:
        """Mean use."""
        return sum(self._uses) / len(self._uses) if self._uses else None

    def row(self) -> dict[str, Any]:
        """As JSON; ``slack`` is 1 - peak use, ``breach_rate`` stands beside ``tolerated``."""
        expected = self.kind == EXPECTED
        return {
            "constraint": self.name,
            "kind": self.kind,
            "scope": self.scope,
            "limit": self.limit,
            "use_peak": self.peak,
            "use_mean": self.mean,
            "slack": None if self.peak is None else 1 - self.peak,
            "violations": self.violations,
            "breaches": self.breaches if expected else None,
            "breach_rate": self.breaches / self.checked if expected and self.checked else None,
            "tolerated_rate": self.tolerated,
            "checked": self.checked,
            "unit": self.unit,
            "bound": self.bound,
        }


def fairness_entry_row(figures: dict[str, Any], parameters: ConstraintParameters) -> dict[str, Any]:
    """The row of fairness from its figures (``FairnessBooks.figures``)."""
    limits = parameters.fairness
    assert limits is not None
    words = f"ratio at least {limits.least_ratio:g}"
    if limits.largest_difference is not None:
        words += f", difference at most {limits.largest_difference:g}"
    if limits.largest_value_difference is not None:
        words += f", of value at most {limits.largest_value_difference / 100:g}"
    entry = Entry("fairness", EXPECTED, "groups", words, "runs", checked=1)
    entry.breaches = 0 if figures["kept"] else 1
    used = uses(limits, figures)
    if used:
        entry.use(max(used.values()))
    return entry.row() | {"figures": figures}


def of_channel(name: str, channel: str | None) -> str:
    """Name of a channel's own limit."""
    return name if channel is None else f"{name}/{channel}"


def paces(
    parameters: ConstraintParameters,
) -> list[tuple[str | None, ContactCap | None, int]]:
    """(channel, cap, quiet weeks); the channel of limits over all of them is None."""
    own = [(name, one.contact_cap, one.quiet_weeks) for name, one in parameters.by_channel.items()]
    return [(None, parameters.contact_cap, parameters.quiet_weeks), *own]


def entries_of(parameters: ConstraintParameters, n: int) -> dict[str, Entry]:
    """An empty entry for each constraint that has a limit."""
    limits: dict[Constraint, str] = {
        Constraint.ACCOUNT_CLOSED: "none contacted",
        Constraint.NOT_ENROLLED: "none contacted",
        Constraint.OPT_OUT: "none contacted",
        Constraint.OFFER_OPEN: "one offer at a time",
    }
    if parameters.consent:
        limits[Constraint.CONSENT] = "none contacted without"
    if parameters.vulnerable:
        limits[Constraint.VULNERABLE] = "no pressure, no discount on rising spend"
    found = {code.name.lower(): _entry(code, words) for code, words in limits.items()}
    for channel, cap, quiet in paces(parameters):
        scope = "customer" if channel is None else "channel"
        for code, words in (
            (Constraint.CONTACT_CAP, cap and f"{cap.contacts} in {cap.weeks} weeks"),
            (Constraint.QUIET_WEEKS, quiet and f"{quiet} after a contact"),
        ):
            if words:
                name = of_channel(code.name.lower(), channel)
                found[name] = Entry(name, NATURE[code].kind, scope, str(words))
    for entry in _firm_entries(parameters, n):
        found[entry.name] = entry
    return found


def _firm_entries(parameters: ConstraintParameters, n: int) -> list[Entry]:
    found = []
    spread, exposure = parameters.price_spread, parameters.discount_exposure
    alarm, budget = parameters.liability_alarm, parameters.offer_budget
    if spread is not None:
        words = [f"{spread.overall:.0%} off"]
        words += [f"{share:.0%} off {name}" for name, share in spread.by_category.items()]
        found.append(_entry(Constraint.PRICE_SPREAD, ", ".join(words)))
    if alarm is not None:
        words_ = f"{alarm.share:.0%} of {alarm.weeks} weeks' revenue"
        found.append(_entry(Constraint.LIABILITY_ALARM, words_, "weeks"))
    weekly, total = budget.weekly_limit(n), budget.total_limit(n)
    if weekly is not None:
        words_ = f"{weekly / 100:,.2f} a week"
        words_ += "" if total is None else f", {total / 100:,.2f} in all"
        entry = _entry(Constraint.OFFER_BUDGET, words_, "weeks")
        if budget.mode == "tail":
            entry.kind, entry.tolerated = EXPECTED, budget.delta
            entry.limit += f" but for {budget.delta:.1%}"
        found.append(entry)
    if exposure is not None:
        words_ = f"{exposure.share:.1%} of 13 weeks' revenue"
        found.append(_entry(Constraint.DISCOUNT_EXPOSURE, words_, "weeks"))
    return found


def _entry(constraint: Constraint, limit: str, unit: str = "contacts") -> Entry:
    return Entry(constraint.name.lower(), *NATURE[constraint], limit, unit)
