"""The violation ledger of a design: budget shares and goalposts, from books of its own.

It hears what is announced, sees what is put into force and what members then pay and hold, and
compares. It shares no code with ``sim.notices`` and with the rules that keep old terms.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.records import KINDS
from envs.constraints.entries import Entry
from envs.constraints.names import HARD_BUDGET
from sim.goalposts import Goalposts
from sim.kept_terms import own_multipliers, own_prices, own_thresholds
from sim.market import LoyaltyMarket
from sim.offers import ActionTable
from sim.programme import ProgrammeParameters

PROMISE = "promise"


class _Promise(NamedTuple):
    """To members ``rows``: tier or reward ``at`` for ``value``, up to week ``until``."""

    name: str
    rows: NDArray[np.intp]
    at: int
    value: int
    until: int


class DesignLedger:
    """Counts, week by week, budgets exceeded and promises broken.

    Parameters
    ----------
    goalposts
        What was promised.
    programme, week
        Terms in force when the books are opened.
    kinds
        Kinds of offer that share the budget.

    Attributes
    ----------
    entries
        By name. Use is above 1 where a limit was broken: reserved over allowed; weeks of notice
        promised over given; price, or threshold, asked over promised; amount of who fell over the
        lowest threshold of the time; multiplier promised over paid.
    """

    def __init__(
        self,
        goalposts: Goalposts,
        programme: ProgrammeParameters,
        week: int,
        kinds: tuple[str, ...],
    ) -> None:
        self.goalposts = goalposts
        self._announced: list[tuple[int, NDArray[np.float64]]] = []
        self._past: list[tuple[int, ProgrammeParameters]] = [(week, programme)]
        self._promises: list[_Promise] = []
        self.entries = _entries(goalposts, kinds)

    @property
    def violations(self) -> dict[str, int]:
        """Number of violations by entry."""
        return {name: entry.violations for name, entry in self.entries.items()}

    def rows(self) -> list[dict[str, Any]]:
        """One row an entry, as JSON; see ``envs.constraints.entries.Entry.row``."""
        return [entry.row() for entry in self.entries.values()]

    def _judge(self, name: str, uses: NDArray[np.float64], broken: NDArray[np.bool_]) -> None:
        """Book what was looked at: its uses, and where it was broken, shape (k,)."""
        entry = self.entries[name]
        entry.checked += len(broken)
        entry.violations += int(np.count_nonzero(broken))
        if len(uses):
            entry.use(float(uses.max()))

    # ---------------------------------------------------------------------------- budgets

    def decided(
        self,
        actions: NDArray[np.integer],
        account: NDArray[np.void],
        table: ActionTable,
        limit: int,
        kind_limits: dict[str, int],
    ) -> None:
        """Check the actions about to be carried out, shape (n,), with the accounts before.

        Parameters
        ----------
        limit, kind_limits
            Weekly budget and the share of each kind, minor units.
        """
        held, new = account["offer"], actions > 0
        kind_held = table.offers["kind"][held[held > 0].astype(np.int64) - 1]
        chosen = table.actions[actions[new]]
        kind_new = table.offers["kind"][chosen["offer"]]
        open_, cost = account["commitment"][held > 0], chosen["commitment"]
        self._budget("design_budget", int(open_.sum()), int(cost.sum()), limit)
        for name, share in kind_limits.items():
            kind = KINDS.index(name)
            old, more = int(open_[kind_held == kind].sum()), int(cost[kind_new == kind].sum())
            self._budget(f"design_budget/{name}", old, more, share)

    def _budget(self, name: str, old: int, new: int, limit: int) -> None:
        """What was promised before a budget fell stays; only what is new can break it."""
        reserved = old + new
        use = reserved / limit if limit > 0 else float(reserved > 0)
        self._judge(name, np.array([use] if new else []), np.array([new > 0 and reserved > limit]))

    # -------------------------------------------------------------------------- goalposts

    def announced(self, week: int, programme: ProgrammeParameters) -> None:
        """Terms announced at the start of ``week``."""
        self._announced.append((week, _badness(programme)))

    def changing(self, market: LoyaltyMarket, programme: ProgrammeParameters) -> None:
        """Terms are about to come into force; notes who is promised what."""
        before, week = market.world.programme, market.week
        self._check_notice(before, programme, week)
        self._past.append((week, programme))
        account, profile = market.customers.account, market.customers.profile
        there = (account["enrolled"] > 0) & (account["closed"] == 0)
        until = week + self.goalposts.grandfathering_weeks
        enough = 1.0 - self.goalposts.close_share
        for at, (old, new) in enumerate(zip(before.tiers, programme.tiers, strict=True)):
            if new.threshold > old.threshold:
                near = there & (account["tier"] == at - 1)
                near &= profile["qualifying"] >= enough * _amount(before, old.threshold)
                value = _amount(before, old.threshold)
                self._promise("goalposts/close_to_tier", near, at, value, until)
            if new.multiplier < old.multiplier:
                held = there & (account["tier"] == at)
                value = round(old.multiplier * 10_000)
                self._promise("goalposts/multiplier", held, at, value, until)
        saved = profile["points"] + account["pending"].sum(axis=1) - account["ordered"]
        for at, (had, gets) in enumerate(zip(before.rewards, programme.rewards, strict=True)):
            if gets.points_price > had.points_price:
                near = there & (saved >= enough * had.points_price)
                self._promise("goalposts/close_to_reward", near, at, had.points_price, until)

    def _check_notice(
        self, before: ProgrammeParameters, programme: ProgrammeParameters, week: int
    ) -> None:
        promised = self.goalposts.notice_weeks
        for at, (old, new) in enumerate(zip(_badness(before), _badness(programme), strict=True)):
            if new > old:
                ages = [week - when for when, bad in self._announced if bad[at] >= new]
                kept = [age for age in ages if age >= promised]
                given = min(kept) if kept else max(ages, default=0)
                use = promised / given if given > 0 else float(promised)
                self._judge("goalposts/notice", np.array([use]), np.array([not kept and use > 0]))

    def _promise(self, name: str, who: NDArray[np.bool_], at: int, value: int, until: int) -> None:
        self._promises.append(_Promise(name, np.flatnonzero(who), at, value, until))

    def lived(self, market: LoyaltyMarket, tier: NDArray[np.integer]) -> None:
        """Check a week that has passed; ``tier`` of each member before it, shape (n,)."""
        customers = market.customers
        account, profile = customers.account, customers.profile
        week = market.week - 1
        open_ = account["closed"] == 0
        fell = np.flatnonzero(open_ & (account["tier"] < tier))
        lowest = self._lowest_thresholds(week)[tier[fell].astype(np.int64)]
        use = profile["qualifying"][fell] / np.maximum(lowest, 1)
        self._judge("goalposts/tier", use, use >= 1)
        rules = market.engine.rules["programme"]
        asked = {
            "goalposts/close_to_tier": own_thresholds(customers, rules)[:, None],
            "goalposts/close_to_reward": own_prices(customers, rules),
            "goalposts/multiplier": own_multipliers(customers, rules),
        }
        standing = []
        for promise in self._promises:
            if week + 1 < promise.until:
                there = promise._replace(rows=promise.rows[open_[promise.rows]])
                standing.append(self._kept(there, market, asked[promise.name]))
        self._promises = standing

    def _lowest_thresholds(self, week: int) -> NDArray[np.int64]:
        """Of each tier, the lowest of those in force within the grandfathering weeks."""
        ends = [*(start for start, _ in self._past[1:]), week + 1]
        since = week - self.goalposts.grandfathering_weeks
        counting = [
            [_amount(terms, tier.threshold) for tier in terms.tiers]
            for (_, terms), end in zip(self._past, ends, strict=True) if end > since
        ]  # fmt: skip
        lowest: NDArray[np.int64] = np.array(counting, np.int64).min(axis=0)
        return lowest

    def _kept(self, promise: _Promise, market: LoyaltyMarket, asked: NDArray[Any]) -> _Promise:
        """Check a promise; what is left of it."""
        customers = market.customers
        name, rows, at, value, _ = promise
        held = customers.account["tier"][rows]
        if name == "goalposts/close_to_tier":
            reached = customers.profile["qualifying"][rows] >= value
            waiting = rows[(held < at) & ~reached]
            use = asked[waiting, 0] / max(value, 1)
            self._judge(name, use, np.concatenate([held[reached] < at, use > 1]))
            return promise._replace(rows=waiting)
        if name == "goalposts/close_to_reward":
            rows = rows[customers.outcome["rewards"][rows] == 0]  # who got one may have used it
            use = asked[rows, at] / value
            self._judge(name, use, use > 1)
            return promise._replace(rows=rows)
        rows = rows[held == at]
        paid = asked[rows]
        self._judge(name, value / np.maximum(paid, 1), paid < value)
        return promise._replace(rows=rows)


def _entries(goalposts: Goalposts, kinds: tuple[str, ...]) -> dict[str, Entry]:
    found = [Entry("design_budget", HARD_BUDGET, "firm", "the design's weekly budget", "weeks")]
    for kind in kinds:
        words = "its share of the weekly budget"
        found.append(Entry(f"design_budget/{kind}", HARD_BUDGET, "offer kind", words, "weeks"))
    share = f"{goalposts.close_share:.0%}"
    time = f"for {goalposts.grandfathering_weeks} weeks"
    for name, words, unit in (
        ("notice", f"worse terms {goalposts.notice_weeks} weeks after notice", "worse terms"),
        ("close_to_tier", f"old threshold {time} within {share} of it", "member-weeks"),
        ("close_to_reward", f"old price once {time} within {share} of it", "member-weeks"),
        ("tier", f"no fall above any threshold held {time}", "falls"),
        ("multiplier", f"old multiplier {time}", "member-weeks"),
    ):
        found.append(Entry(f"goalposts/{name}", PROMISE, "programme", words, unit))
    return {entry.name: entry for entry in found}


def _badness(programme: ProgrammeParameters) -> NDArray[np.float64]:
    """Terms as numbers that grow as they get worse for members."""
    return np.array(
        [
            -programme.points_per_unit,
            *(tier.threshold for tier in programme.tiers),
            *(-tier.multiplier for tier in programme.tiers),
            *(reward.points_price for reward in programme.rewards),
        ]
    )


def _amount(programme: ProgrammeParameters, threshold: float) -> int:
    """A threshold as ``PROFILE.qualifying`` counts: points, or minor units of money."""
    in_money = programme.tier_basis in ("spend", "predicted_value")
    return round(100 * threshold if in_money else threshold)
