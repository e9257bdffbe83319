"""Purchases of cohorts that nobody markets to: what a log of simulated customers would hold."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.calibration.check import statistics
from agents.calibration.log import TransactionLog
from agents.population import PosteriorLike, draw_population, dynamics_from, filter_from
from agents.profile import EventKind
from agents.records import SECONDS_PER_WEEK
from agents.response import ResponseParameters
from agents.rng import derive_seed
from sim.market import LoyaltyMarket
from sim.scenario import SeasonParameters
from sim.world import World, starting_in


class Purchases(NamedTuple):
    """One element a purchase, arrays of shape (purchases,).

    ``customer`` is 0 to n - 1, ``time`` in seconds since the customer's clock started, ``amount``
    in minor units. What starts a clock is not among them.
    """

    customer: NDArray[np.int64]
    time: NDArray[np.int64]
    amount: NDArray[np.int64]

    def statistics(self, n: int, weeks: int) -> dict[str, float]:
        """`agents.calibration.check.statistics` of the first weeks of n customers."""
        inside = self.before(weeks)
        return statistics(inside.weekly_counts(n, weeks), inside.spend(n), inside.amount)

    def delayed(self, start: NDArray[np.int64]) -> "Purchases":
        """The same on a common clock; ``start`` has shape (n,), seconds."""
        return self._replace(time=self.time + start[self.customer])

    def before(self, weeks: int) -> "Purchases":
        """Those of the first weeks."""
        rows = self.time < weeks * SECONDS_PER_WEEK
        return Purchases(*(values[rows] for values in self))

    def cohorts(self, n: int) -> list["Purchases"]:
        """Those of each n customers in turn, renumbered from 0."""
        number = self.customer // n
        found = []
        for at in range(int(number.max()) + 1 if number.size else 0):
            rows = number == at
            found.append(Purchases(self.customer[rows] % n, self.time[rows], self.amount[rows]))
        return found

    def weekly_counts(self, n: int, weeks: int) -> NDArray[np.int64]:
        """Purchases per customer and week, shape (n, weeks); later ones are left out."""
        inside = self.before(weeks)
        cell = inside.customer * weeks + inside.time // SECONDS_PER_WEEK
        return np.bincount(cell, minlength=n * weeks).reshape(n, weeks)

    def spend(self, n: int) -> NDArray[np.float64]:
        """What each customer paid, minor units, shape (n,)."""
        return np.bincount(self.customer, weights=self.amount, minlength=n).astype(np.float64)


def observed_purchases(log: TransactionLog) -> tuple[Purchases, NDArray[np.int64]]:
    """A log's purchases on its common clock, and when customers' clocks start, shape (n,) seconds.

    First purchases are left out where they start the clock.
    """
    if log.origin != "first_purchase":
        start = np.zeros(log.n_customers, np.int64)
        return Purchases(log.customer, log.time, log.amount), start
    repeat = np.zeros(log.n_transactions, bool)
    repeat[1:] = log.customer[1:] == log.customer[:-1]
    bought = Purchases(log.customer[repeat], log.time[repeat], log.amount[repeat])
    return bought, log.first_time()


def simulated_purchases(
    posterior: PosteriorLike,
    n: int,
    weeks: int,
    seed: int,
    season: SeasonParameters | None = None,
    first_week: int = 0,
    tell: Callable[[], None] | None = None,
    draw: int = 0,
) -> Purchases:
    """Simulate customers without programme, offers, rivals and word of mouth.

    Parameters
    ----------
    posterior
        What they are drawn from.
    n, weeks, seed
        Customers, weeks since their clocks started, seed of both population and luck.
    season, first_week
        Calendar of the year, and the week of the year in which clocks start.
    tell
        Called after each week.
    draw
        Posterior draw that customers are of, 0 the mode.
    """
    world = World(
        ResponseParameters(),
        dynamics_from(posterior, draw),
        filter_from(posterior),
        season or SeasonParameters(),
    )
    customers = draw_population(posterior, n, derive_seed(seed, "population"), draw=draw)
    market = LoyaltyMarket(world, customers, derive_seed(seed, "world"), recording=True)
    market.engine.rules = starting_in(market.engine.rules, first_week)
    parts = []
    for _ in range(weeks):
        market.step()
        events = market.events()
        parts.append(events[events["kind"] == EventKind.PURCHASE])
        if tell is not None:
            tell()
    bought = np.concatenate(parts)
    return Purchases(
        bought["customer"].astype(np.int64), bought["time"].astype(np.int64), bought["amount"]
    )
