"""The violation ledger: use, slack and violations of every constraint, from its own books."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.records import KINDS, WEEKS_PER_QUARTER
from envs.constraints.checks import (
    ContactDiary,
    Contacted,
    FirmDiary,
    discounting,
    open_discounts,
    tail_reservation,
)
from envs.constraints.entries import Entry, entries_of, fairness_entry_row, of_channel, paces
from envs.constraints.fairness import FairnessBooks
from envs.constraints.names import NATURE, Constraint
from envs.constraints.parameters import ConstraintParameters
from sim.ledger import MICRO
from sim.offers import ActionTable


class ViolationLedger:
    """Checks decisions after they are made, from its own books rather than the masks'.

    Parameters
    ----------
    parameters, table, n
        Limits, actions, customers.
    profile
        PROFILE rows before the first decision, shape (n,).

    Attributes
    ----------
    entries
        By name; limits of single channels as ``contact_cap/sms``.
    reserved, settled
        Totals in minor units.
    peak_reserved_share
        Largest share of the weekly limit ever reserved (open and new offers), as the budget's mode
        counts it.
    committed
        The most that open and new offers could cost, week by week, minor units.
    """

    def __init__(
        self,
        parameters: ConstraintParameters,
        table: ActionTable,
        n: int,
        profile: NDArray[np.void],
    ) -> None:
        self.parameters = parameters
        self.table = table
        self.n = n
        self.weeks = self.reserved = self.settled = 0
        self._gone = 0
        self.peak_reserved_share = 0.0
        self.committed: list[int] = []
        self.entries = entries_of(parameters, n)
        self._diary = ContactDiary(n)
        self._books = FirmDiary(profile)
        self._fairness = FairnessBooks(n)
        self._discounts = discounting(table)

    # -------------------------------------------------------------------------- decisions

    def decided(
        self,
        actions: NDArray[np.integer],
        account: NDArray[np.void],
        profile: NDArray[np.void],
        binding: NDArray[np.integer] | None = None,
        eligible: NDArray[np.bool_] | None = None,
        liability: int = 0,
    ) -> None:
        """Check the actions about to be carried out, shape (n,), against the accounts.

        Parameters
        ----------
        binding
            Constraint that refused each proposal, shape (n,).
        eligible
            Who may get any offer at all, shape (n,).
        liability
            For points outstanding, micro minor units.
        """
        contacted = Contacted(actions, account, profile, self.table)
        self._check_customers(contacted)
        self._check_pacing(contacted)
        self._check_liability(contacted, liability)
        self._check_offer_budget(actions, account, profile)
        self._check_exposure(actions, account)
        if binding is not None:
            for code, times in enumerate(np.bincount(binding)):
                if code and times:
                    self._entry(Constraint(code)).bound += int(times)
        if eligible is not None:
            value = self.table.commitment - self.table.actions["contact_cost"]
            self._fairness.add(account["group"], eligible, actions > 0, value[actions])
        self.weeks += 1

    def _entry(self, constraint: Constraint) -> Entry:
        name = constraint.name.lower()
        if name not in self.entries:
            self.entries[name] = Entry(name, *NATURE[constraint], "none")
        return self.entries[name]

    def _count(self, name: str, broken: NDArray[np.bool_] | bool | int, checked: int) -> None:
        entry = self.entries[name]
        entry.violations += broken if type(broken) is int else int(np.count_nonzero(broken))
        entry.checked += checked

    def _check_customers(self, contacted: Contacted) -> None:
        who, number = contacted.account, len(contacted.rows)
        self._count("account_closed", who["closed"] > 0, number)
        self._count("not_enrolled", who["enrolled"] == 0, number)
        self._count("offer_open", who["offer"] > 0, number)
        self._count("opt_out", contacted.opted_out, number)
        if self.parameters.consent:
            self._count("consent", contacted.without_consent, number)
        if self.parameters.vulnerable:
            self._count("vulnerable", contacted.pressed, number)
        if self.parameters.price_spread is not None:
            broken, use = contacted.too_deep(self.parameters, self.table)
            self._count("price_spread", broken, number)
            self.entries["price_spread"].use(use)

    def _check_pacing(self, contacted: Contacted) -> None:
        self._diary.write(contacted)
        number = len(contacted.rows)
        for channel, cap, quiet in paces(self.parameters):
            if cap is not None:
                name = of_channel("contact_cap", channel)
                broken, most = self._diary.over_cap(contacted, cap, channel)
                self._count(name, broken, number)
                self.entries[name].use(most / cap.contacts if cap.contacts else float(most))
            if quiet > 0:
                name = of_channel("quiet_weeks", channel)
                self._count(name, self._diary.too_soon(contacted, quiet, channel), number)

    def _check_liability(self, contacted: Contacted, liability: int) -> None:
        alarm = self.parameters.liability_alarm
        if alarm is None:
            return
        entry = self.entries["liability_alarm"]
        limit = alarm.share * self._books.revenue(alarm.weeks)
        entry.use(liability / MICRO / limit if limit > 0 else float(liability > 0))
        sounds = liability / MICRO > limit
        entry.breaches += sounds
        points = contacted.offer["kind"] == KINDS.index("points")
        self._count(entry.name, points & (sounds and alarm.stops_bonus_points), 1)

    def _check_offer_budget(
        self, actions: NDArray[np.integer], account: NDArray[np.void], profile: NDArray[np.void]
    ) -> None:
        budget = self.parameters.offer_budget
        weekly, total = budget.weekly_limit(self.n), budget.total_limit(self.n)
        new = int(self.table.commitment[actions].sum())
        reserved: float = int(account["commitment"].sum(dtype=np.int64)) + new
        self.reserved += new
        self.committed.append(int(reserved))
        if weekly is None:
            return
        slip = 0.0
        if budget.mode == "tail":
            reserved = tail_reservation(actions, account, profile, self.table, budget.delta)
            slip = 1e-6 * reserved + 1  # of rounding
        share = reserved / max(weekly, 1)
        self.peak_reserved_share = max(self.peak_reserved_share, share)
        self.entries["offer_budget"].use(share)
        # In mode tail what is open may come to weigh more by itself: no offer did that.
        broken = reserved > weekly + slip
        if total is not None:
            broken = broken or self.settled - self._gone + reserved > total + slip
        # Weeks of mode tail are counted where they settle.
        if budget.mode == "tail":
            self._count("offer_budget", broken and new > 0, 0)
        else:
            self._count("offer_budget", broken, 1)

    def _check_exposure(self, actions: NDArray[np.integer], account: NDArray[np.void]) -> None:
        exposure = self.parameters.discount_exposure
        if exposure is None:
            return
        caps = self.table.commitment - self.table.actions["contact_cost"]
        new = int(caps[actions[self._discounts[actions]]].sum())
        held = open_discounts(account, self.table) + new
        held += self._books.discounts(WEEKS_PER_QUARTER)
        limit = exposure.share * self._books.revenue(WEEKS_PER_QUARTER)
        self.entries["discount_exposure"].use(held / limit if limit > 0 else float(held > 0))
        self._count("discount_exposure", new > 0 and held > limit, 1)

    # ------------------------------------------------------------------------------ a week

    def settled_week(self, spent: int, revenue: int = 0, discounts: int = 0) -> None:
        """Check what the week settled, and book its revenue and discounts; minor units."""
        self.settled += spent
        self._books.write(revenue, discounts)
        weekly = self.parameters.offer_budget.weekly_limit(self.n)
        if weekly is None:
            return
        if self.parameters.offer_budget.mode == "tail":
            self.entries["offer_budget"].breaches += spent > weekly
            self.entries["offer_budget"].checked += 1
        else:
            self._count("offer_budget", spent > weekly, 0)

    def replaced(self, rows: NDArray[np.integer], spent: int) -> None:
        """Others have taken the place of these customers, who had settled ``spent`` minor units.

        A total budget is then that of the customers who are there.
        """
        self._diary.forget(rows)
        self._gone += spent

    # --------------------------------------------------------------------------- what is told

    @property
    def violations(self) -> dict[str, int]:
        """Number of violations by constraint."""
        return {name: entry.violations for name, entry in self.entries.items()}

    @property
    def total_violations(self) -> int:
        """Sum over constraints."""
        return sum(self.violations.values())

    def fairness(self) -> dict[str, Any] | None:
        """Figures by group (``FairnessBooks.figures``); None without such a constraint."""
        limits = self.parameters.fairness
        return None if limits is None else self._fairness.figures(limits)

    def rows(self) -> list[dict[str, Any]]:
        """One row a constraint, as JSON; see ``Entry.row``."""
        rows = [entry.row() for entry in self.entries.values()]
        figures = self.fairness()
        if figures is not None:
            rows.append(fairness_entry_row(figures, self.parameters))
        return rows
