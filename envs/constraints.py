"""What no policy can break: masks, the offer budget, and an audit that checks them afterwards."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numba import prange
from numpy.typing import NDArray

from agents.compiled import kernel, parallel_kernel
from agents.ranges import check_range
from agents.records import Field, record_dtype
from sim.offers import ActionTable

_RISING = 1.25
_DISCOUNT = 0


class Constraint(IntEnum):
    """What can bind a decision; 0 = nothing. The first that blocks an action is named."""

    NONE = 0
    ACCOUNT_CLOSED = 1
    NOT_ENROLLED = 2
    CONSENT = 3
    VULNERABLE = 4
    OFFER_OPEN = 5
    CONTACT_CAP = 6
    OFFER_BUDGET = 7


@dataclass(frozen=True)
class OfferBudget:
    """Hard and revolving. Money in minor units per customer; None = no limit.

    In every week, open commitments + new commitments <= ``weekly_per_customer`` × customers, and
    settled so far + open + new <= that × ``total_weeks``.
    """

    weekly_per_customer: float | None = None
    total_weeks: float | None = None

    def __post_init__(self) -> None:
        for name in ("weekly_per_customer", "total_weeks"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 0.0, 1e9)

    def weekly_limit(self, n: int) -> int | None:
        """Weekly limit for a cohort of n, minor units."""
        return None if self.weekly_per_customer is None else int(self.weekly_per_customer * n)

    def total_limit(self, n: int) -> int | None:
        """Limit over the whole horizon for a cohort of n, minor units."""
        if self.weekly_per_customer is None or self.total_weeks is None:
            return None
        return int(self.weekly_per_customer * n * self.total_weeks)

    def available(self, n: int, open_commitment: int, settled: int) -> int | None:
        """What may be newly reserved this week, minor units, never below 0."""
        weekly, total = self.weekly_limit(n), self.total_limit(n)
        room = [limit - open_commitment for limit in (weekly,) if limit is not None]
        room += [limit - settled - open_commitment for limit in (total,) if limit is not None]
        return max(0, min(room)) if room else None

    def free_share(self, n: int, available: int | None) -> float:
        """Free share of the weekly limit, 1 without a limit."""
        weekly = self.weekly_limit(n)
        if weekly is None or available is None:
            return 1.0
        return min(1.0, available / weekly) if weekly > 0 else 0.0


@dataclass(frozen=True)
class ContactCap:
    """At most ``contacts`` contacts in any ``weeks`` consecutive weeks, over all channels."""

    contacts: int = 2
    weeks: int = 4

    def __post_init__(self) -> None:
        check_range("contact_cap.contacts", self.contacts, 0, 32)
        check_range("contact_cap.weeks", self.weeks, 1, 32)


@dataclass(frozen=True)
class ConstraintParameters:
    """All constraints of a firm. Consent and the vulnerable-customer rule default to on."""

    offer_budget: OfferBudget = OfferBudget()
    contact_cap: ContactCap | None = None
    consent: bool = True
    vulnerable: bool = True


LIMITS = record_dtype(
    (
        Field("consent", "u1", (), "flag", "contact only with consent for the channel"),
        Field("vulnerable", "u1", (), "flag", "protect vulnerable customers"),
        Field("cap_contacts", "i4", (), "contacts", "contact cap, -1 = none"),
        Field("cap_weeks", "i4", (), "weeks", "window of the contact cap"),
    )
)


def limits_record(parameters: ConstraintParameters) -> NDArray[np.void]:
    """Compiled form of the masks' limits, shape (1,)."""
    record = np.zeros(1, LIMITS)
    record["consent"] = parameters.consent
    record["vulnerable"] = parameters.vulnerable
    cap = parameters.contact_cap
    record["cap_contacts"] = -1 if cap is None else cap.contacts
    record["cap_weeks"] = 1 if cap is None else cap.weeks
    return record


@kernel
def contacts_before(profile, weeks):  # type: ignore[no-untyped-def]
    """Contacts in the ``weeks`` - 1 weeks before this one: one a week at most."""
    total = 0
    history = int(profile.contacts)
    for back in range(1, weeks):
        total += (history >> back) & 1
    return total


@kernel
def blocking_row(account, profile, actions, offers, limits, out):  # type: ignore[no-untyped-def]
    """Constraint that blocks each action of one customer, 0 = allowed; ``out`` shape (A,)."""
    out[0] = 0
    whole = 0
    if account.closed:
        whole = 1
    elif not account.enrolled:
        whole = 2
    rising = profile.revenue_fast > _RISING * profile.revenue_slow
    capped = (
        limits.cap_contacts >= 0
        and contacts_before(profile, limits.cap_weeks) >= limits.cap_contacts
    )
    for action in range(1, actions.shape[0]):
        offer = offers[actions[action].offer]
        code = whole
        if code == 0:
            if limits.consent and not account.consent[actions[action].channel]:
                code = 3
            elif (
                limits.vulnerable
                and account.vulnerable
                and (offer.pressure or (rising and offer.kind == _DISCOUNT))
            ):
                code = 4
            elif account.offer > 0:
                code = 5
            elif capped:
                code = 6
        out[action] = code


@parallel_kernel
def _blocking(account, profile, actions, offers, limits, out):  # type: ignore[no-untyped-def]
    for row in prange(account.shape[0]):
        blocking_row(account[row], profile[row], actions, offers, limits[0], out[row])


def blocking(
    account: NDArray[np.void],
    profile: NDArray[np.void],
    table: ActionTable,
    limits: NDArray[np.void],
) -> NDArray[np.uint8]:
    """Constraint blocking each action, shape (n, A); an action is allowed where it is 0."""
    out = np.empty((account.shape[0], table.n), np.uint8)
    _blocking(account, profile, table.actions, table.offers, limits, out)
    return out


@dataclass
class ConstraintAudit:
    """Checks decisions after they are made, from its own books rather than the masks'.

    Attributes
    ----------
    violations
        Number of violations by constraint.
    peak_reserved_share
        Largest share of the weekly limit ever reserved (open and new commitments).
    reserved, settled
        Totals in minor units.
    """

    parameters: ConstraintParameters
    table: ActionTable
    n: int
    violations: dict[str, int] = field(default_factory=dict)
    peak_reserved_share: float = 0.0
    reserved: int = 0
    settled: int = 0
    weeks: int = 0

    def __post_init__(self) -> None:
        names = ("account_closed", "not_enrolled", "consent", "vulnerable", "offer_open")
        self.violations = dict.fromkeys((*names, "contact_cap", "offer_budget"), 0)
        cap = self.parameters.contact_cap
        self._contacts = np.zeros((cap.weeks if cap else 1, self.n), np.int32)
        self._open = 0

    def _count(self, name: str, broken: NDArray[np.bool_] | bool) -> None:
        self.violations[name] += int(np.count_nonzero(broken))

    def decided(
        self, actions: NDArray[np.integer], account: NDArray[np.void], profile: NDArray[np.void]
    ) -> None:
        """Check the actions about to be carried out, shape (n,), against the accounts."""
        contacted = actions > 0
        rows = np.flatnonzero(contacted)
        chosen = self.table.actions[actions[rows]]
        offers = self.table.offers[chosen["offer"]]
        who = account[rows]
        self._count("account_closed", who["closed"] > 0)
        self._count("not_enrolled", who["enrolled"] == 0)
        self._count("offer_open", who["offer"] > 0)
        if self.parameters.consent:
            self._count("consent", who["consent"][np.arange(rows.size), chosen["channel"]] == 0)
        if self.parameters.vulnerable:
            what = profile[rows]
            rising = what["revenue_fast"] > _RISING * what["revenue_slow"]
            bad = (offers["pressure"] > 0) | (rising & (offers["kind"] == _DISCOUNT))
            self._count("vulnerable", (who["vulnerable"] > 0) & bad)
        cap = self.parameters.contact_cap
        if cap is not None:
            self._contacts[self.weeks % cap.weeks] = contacted
            self._count("contact_cap", contacted & (self._contacts.sum(axis=0) > cap.contacts))
        new = int(self.table.commitment[actions].sum())
        self._open = int(account["commitment"].sum(dtype=np.int64))
        self.reserved += new
        weekly = self.parameters.offer_budget.weekly_limit(self.n)
        total = self.parameters.offer_budget.total_limit(self.n)
        if weekly is not None:
            self._count("offer_budget", self._open + new > weekly)
            self.peak_reserved_share = max(
                self.peak_reserved_share, (self._open + new) / max(weekly, 1)
            )
        if total is not None:
            self._count("offer_budget", self.settled + self._open + new > total)
        self.weeks += 1

    def settled_week(self, spent: int) -> None:
        """Check what the week settled, minor units."""
        self.settled += spent
        weekly = self.parameters.offer_budget.weekly_limit(self.n)
        if weekly is not None:
            self._count("offer_budget", spent > weekly)

    @property
    def total_violations(self) -> int:
        """Sum over constraints."""
        return sum(self.violations.values())
