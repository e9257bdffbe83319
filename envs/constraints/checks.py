"""The ledger's own arithmetic: whether actions keep each mask, without the masks' code.

Arrays of the contacted only, shape (k,); contacts are counted from the ledger's own diary.
"""

import math

import numpy as np
from numpy.typing import NDArray

from agents.records import CHANNELS, CONTACT_WEEKS, KINDS, N_CHANNELS
from envs.constraints.parameters import ConstraintParameters, ContactCap
from sim.offers import ActionTable

# The rule's words: spend is rising where the last four weeks brought a quarter more.
_RISING = 1.25
_PRIOR_USES, _PRIOR_OFFERS = 0.4, 4.0
_PRIOR_OPENED, _PRIOR_MESSAGES = 1.4, 4.0


def discounting(table: ActionTable) -> NDArray[np.bool_]:
    """Which actions give a discount, read from labels of kinds, shape (n_actions,)."""
    kinds = [KINDS[kind] for kind in table.offers["kind"]]
    return np.array([at >= 0 and kinds[at] == "discount" for at in table.actions["offer"]])


class FirmDiary:
    """Revenue and discounts week by week, minor units; before it was opened, revenue as the
    profiles' averages have it.
    """

    def __init__(self, profile: NDArray[np.void]) -> None:
        known = np.where(profile["joined"] >= 0, profile["revenue_slow"], 0.0)
        self._weekly = float(known.sum(dtype=np.float64))
        self._weeks: list[tuple[int, int]] = []

    def write(self, revenue: int, discounts: int) -> None:
        """A week that has ended."""
        self._weeks.append((revenue, discounts))

    def revenue(self, weeks: int) -> int:
        """Of the last so many weeks."""
        last = self._weeks[-weeks:]
        return sum(revenue for revenue, _ in last) + int(self._weekly * (weeks - len(last)))

    def discounts(self, weeks: int) -> int:
        """Of the last so many weeks."""
        return sum(given for _, given in self._weeks[-weeks:])


class Contacted:
    """The customers about to get an offer, with what they get and who they are."""

    def __init__(
        self,
        actions: NDArray[np.integer],
        account: NDArray[np.void],
        profile: NDArray[np.void],
        table: ActionTable,
    ) -> None:
        self.rows = np.flatnonzero(actions)
        action = table.actions[actions[self.rows]]
        self.channel = action["channel"]
        self.offer = table.offers[action["offer"]]
        self.account = account[self.rows]
        self.profile = profile[self.rows]

    @property
    def opted_out(self) -> NDArray[np.bool_]:
        """Left the channel that is about to be used."""
        bits = np.unpackbits(self.profile["opted_out"][:, None], axis=1, bitorder="little")
        found: NDArray[np.bool_] = np.take_along_axis(bits, self.channel[:, None], axis=1)[:, 0] > 0
        return found

    @property
    def without_consent(self) -> NDArray[np.bool_]:
        """Never allowed the channel; who left it is counted as opted out."""
        allowed = np.take_along_axis(self.account["consent"], self.channel[:, None], axis=1)[:, 0]
        found: NDArray[np.bool_] = (allowed == 0) & ~self.opted_out
        return found

    @property
    def pressed(self) -> NDArray[np.bool_]:
        """Vulnerable, and under pressure or led to spend more while spending rises."""
        discount = self.offer["kind"] == KINDS.index("discount")
        rising = self.profile["revenue_fast"] > _RISING * self.profile["revenue_slow"]
        found: NDArray[np.bool_] = (self.account["vulnerable"] > 0) & (
            (self.offer["pressure"] > 0) | (rising & discount)
        )
        return found

    def too_deep(
        self, parameters: ConstraintParameters, table: ActionTable
    ) -> tuple[NDArray[np.bool_], float]:
        """Whose discount is deeper than allowed, and the deepest as a share of its limit."""
        spread = parameters.price_spread
        if spread is None:
            return np.zeros(len(self.rows), np.bool_), 0.0
        of_category = [spread.by_category.get(name, spread.overall) for name in table.categories]
        everything = min([spread.overall, *spread.by_category.values()])
        limit = np.array([*of_category, everything])[self.offer["category"]]
        depth = np.where(self.offer["kind"] == KINDS.index("discount"), self.offer["depth"], 0)
        depth = depth / 10_000
        use = np.divide(depth, limit, out=np.zeros(len(depth)), where=limit > 0)
        return depth > limit + 1e-9, float(use.max(initial=0.0))


class ContactDiary:
    """Which channel contacted whom in the last 16 weeks, as the ledger saw it."""

    def __init__(self, n: int) -> None:
        self._weeks = np.full((CONTACT_WEEKS, n), -1, np.int8)

    def write(self, contacted: Contacted) -> None:
        """The contacts of a week."""
        self._weeks = np.roll(self._weeks, 1, axis=0)
        self._weeks[0] = -1
        self._weeks[0, contacted.rows] = contacted.channel

    def forget(self, rows: NDArray[np.integer]) -> None:
        """Others take the place of these customers."""
        self._weeks[:, rows] = -1

    def within(
        self, rows: NDArray[np.integer], weeks: int, channel: str | None
    ) -> NDArray[np.integer]:
        """Contacts of these customers in the last ``weeks`` weeks, this one among them."""
        window = self._weeks[:weeks, rows]
        hit = window >= 0 if channel is None else window == CHANNELS.index(channel)
        return np.asarray(np.count_nonzero(hit, axis=0))

    def over_cap(
        self, contacted: Contacted, cap: ContactCap, channel: str | None
    ) -> tuple[int, int]:
        """Contacts beyond a cap, and the most contacts of anyone in its window."""
        rows = self._addressed(contacted, channel)
        count = self.within(rows, cap.weeks, channel)
        return int(np.count_nonzero(count > cap.contacts)), int(count.max(initial=0))

    def too_soon(self, contacted: Contacted, weeks: int, channel: str | None) -> int:
        """Contacts within so many weeks of the one before."""
        rows = self._addressed(contacted, channel)
        return int(np.count_nonzero(self.within(rows, weeks + 1, channel) > 1))

    @staticmethod
    def _addressed(contacted: Contacted, channel: str | None) -> NDArray[np.integer]:
        if channel is None:
            return contacted.rows
        return np.asarray(contacted.rows[contacted.channel == CHANNELS.index(channel)])


def open_discounts(account: NDArray[np.void], table: ActionTable) -> int:
    """Commitments of the discounts customers hold, minor units."""
    holder = np.flatnonzero(account["offer"])
    kind = table.offers["kind"][account["offer"][holder].astype(np.intp) - 1]
    held = account["commitment"][holder][kind == KINDS.index("discount")]
    return int(held.sum(dtype=np.int64))


def tail_reservation(
    actions: NDArray[np.integer],
    account: NDArray[np.void],
    profile: NDArray[np.void],
    table: ActionTable,
    delta: float,
) -> float:
    """What open and new offers reserve in mode tail, minor units, from the formula's words."""
    rate = np.minimum((profile["redeemed"] + _PRIOR_USES) / (profile["sent"] + _PRIOR_OFFERS), 1.0)
    opening = (profile["opened"] + _PRIOR_OPENED) / (profile["messages"] + _PRIOR_MESSAGES)
    usual = opening.mean(axis=1)
    held = np.flatnonzero(account["offer"])
    kind = table.offers["kind"][account["offer"][held].astype(np.intp) - 1]
    standing = account["commitment"][held].astype(np.float64)
    expected = (standing * rate[held, kind]).sum()
    squares = (standing**2).sum()

    new = np.flatnonzero(actions)
    action = table.actions[actions[new]]
    offer = table.offers[action["offer"]]
    likely = rate[new, offer["kind"]] * opening[new, action["channel"] % N_CHANNELS] / usual[new]
    expected += (action["contact_cost"] + offer["cap"] * np.minimum(likely, offer["uses"])).sum()
    squares += ((offer["cap"] * offer["uses"]).astype(np.float64) ** 2).sum()
    worst = float(standing.sum() + action["commitment"].sum(dtype=np.int64))
    return min(worst, float(expected + math.sqrt(math.log(1 / delta) / 2 * squares)))
