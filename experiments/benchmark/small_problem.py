"""A small problem whose belief-optimal policy is known, in the project's own market.

Two kinds of customers look alike: some buy twice as often in a week with an offer and mostly
redeem it, the others buy as before and redeem it half of the time. An item costs 12, a purchase
brings 15. Nobody leaves, nothing is remembered, weeks without an offer tell nothing. So all that a
firm can know is the probability that a customer is of the first kind, given purchases and
redemptions in the weeks with an offer, and the optimum is a dynamic programme over that
probability (Åström 1965; Smallwood & Sondik 1973): an offer is worth its profit and what it
teaches.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from agents.population import PopulationParameters, draw_population, dynamics_from, filter_from
from agents.records import KINDS, Customers
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.decision import GovernedPolicy, Policy
from envs.task import OfferTask
from sim.counterfactual import paired_run
from sim.engine import Engine
from sim.offers import Offer, OfferBook
from sim.world import World

_ITEM = KINDS.index("free_item")
_MINOR = 100.0
_MOST_PURCHASES = 20
_FIRST_TEST_ID = 2_000_000_000


@dataclass(frozen=True)
class SmallProblem:
    """Its figures; chosen before any policy was tried on it.

    ``rate`` is purchases a week, ``lift`` the first kind's log effect of an offer, ``redeems`` the
    probability that a customer of the first and second kind means to use it, ``share`` that of the
    first kind. Money in currency units; ``weeks`` is the horizon.
    """

    rate: float = 0.8
    lift: float = 0.7
    redeems: tuple[float, float] = (0.9, 0.5)
    share: float = 0.5
    margin: float = 15.0
    item_cost: float = 12.0
    weeks: int = 12
    warmup_weeks: int = 13

    @property
    def world(self) -> World:
        """The market."""
        first, second = (math.log(p / (1 - p)) for p in self.redeems)
        posterior = _population()
        return World(
            response=ResponseParameters(
                name="small_problem",
                inattention=0.0,
                offer_log_rate=KindEffects(free_item=self.lift / 2),
                offer_log_rate_sd=self.lift / 2,
                redemption_logit=KindEffects(free_item=(first + second) / 2),
                redemption_sd=(first - second) / 2,
                redemption_rate_slope=0.0,
                opt_out_per_contact=0.0,
            ),
            dynamics=dynamics_from(posterior),
            filter=filter_from(posterior),
            book=OfferBook(
                "item",
                (Offer("item", "free_item", item_cost=self.item_cost),),
                channels=("email",),
                contact_cost={"email": 0.0},
            ),
            contribution_margin=0.5,
        )

    def customers(self, n: int, seed: int, test: bool = False) -> Customers:
        """Customers after the warm-up, kinds alternating; test customers are none of training's."""
        first = _FIRST_TEST_ID if test else 0
        found = draw_population(_population(), n, derive_seed(seed, "population"), first_id=first)
        responds = np.where(is_first_kind(found, self.share), 1.0, -1.0)
        found.traits["log_rate"] = math.log(self.rate)
        found.traits["hazard"] = 0.0
        found.traits["spend_mean"] = 2 * self.margin * _MINOR
        found.traits["response"][:, _ITEM] = responds
        found.traits["redemption"] = responds
        found.account["enrolled"] = 1
        found.account["consent"] = 1
        found.account["vulnerable"] = 0
        key = derive_seed(seed, "evaluate" if test else "train")
        engine = Engine(found, self.world.rules(), key)
        for _ in range(self.warmup_weeks):
            engine.advance()
        return found

    def task(self, n: int, seed: int) -> OfferTask:
        """What learners train on."""
        return OfferTask(
            (self.world,),
            self.customers(n, seed),
            ConstraintParameters(),
            horizon=self.weeks,
            paired=True,
        )


def _population() -> PopulationParameters:
    values = {
        "rate_shape": 1.0, "rate_rate": 1.25, "dropout_shape": 1.0, "dropout_rate": 1e5,
        "spend_within_shape": 6.0, "spend_shape": 8.0, "spend_scale": 26.0,
    }  # fmt: skip
    parameters = {name: np.array([value]) for name, value in values.items()}
    return PopulationParameters("pareto_nbd", "gamma_gamma", parameters)


def is_first_kind(customers: Customers, share: float) -> NDArray[np.bool_]:
    """Who responds, shape (n,): evenly spread over ids, and latent."""
    place = (customers.traits["id"] % np.uint64(1000)).astype(np.int64)
    spread: NDArray[np.bool_] = (place * 617) % 1000 < share * 1000
    return spread


@dataclass(frozen=True)
class BeliefOptimum:
    """The optimal policy and its value.

    Attributes
    ----------
    grid
        Log odds of the first kind, shape (k,).
    threshold
        Least log odds at which an offer is made in each week, shape (weeks,).
    gain
        Expected gain per customer over no offers, currency units.
    myopic_gain
        That of an offer whenever it pays by itself, whatever it teaches.
    """

    grid: NDArray[np.float64]
    threshold: NDArray[np.float64]
    gain: float
    myopic_gain: float


def evidence(
    problem: SmallProblem, purchases: NDArray[np.integer], redeemed: NDArray[np.integer]
) -> NDArray[np.float64]:
    """What a week with an offer adds to the log odds of the first kind, shape of the inputs."""
    first, second = (_log_likelihood(problem, kind, purchases, redeemed) for kind in (0, 1))
    return first - second


def _log_likelihood(
    problem: SmallProblem,
    kind: int,
    purchases: NDArray[np.integer],
    redeemed: NDArray[np.integer],
) -> NDArray[np.float64]:
    rate = problem.rate * (math.exp(problem.lift) if kind == 0 else 1.0)
    means = problem.redeems[kind]
    used = np.where(redeemed > 0, math.log(means), math.log(1.0 - means))
    found: NDArray[np.float64] = stats.poisson.logpmf(purchases, rate) + np.where(
        purchases > 0, used, 0.0
    )
    return found


def solve(problem: SmallProblem, step: float = 0.005, reach: float = 14.0) -> BeliefOptimum:
    """Backward induction over weeks on a grid of log odds, linear between its points.

    Parameters
    ----------
    step, reach
        Of the grid, in log odds; halving the step changes the gain by less than 1e-4 of it.
    """
    grid = np.arange(-reach, reach + step / 2, step)
    belief = 1.0 / (1.0 + np.exp(-grid))
    purchases, redeemed = (
        part.ravel() for part in np.meshgrid(np.arange(_MOST_PURCHASES + 1), [0, 1], indexing="ij")
    )
    possible = (redeemed == 0) | (purchases > 0)
    purchases, redeemed = purchases[possible], redeemed[possible]
    likely = [np.exp(_log_likelihood(problem, kind, purchases, redeemed)) for kind in (0, 1)]
    moves = evidence(problem, purchases, redeemed)
    profit = _expected_profit(problem)
    at_once = belief * profit[0] + (1 - belief) * profit[1]

    def value(
        offered: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None,
    ) -> tuple[NDArray[np.float64], list[float]]:
        ahead, thresholds = np.zeros(grid.size), []
        for _ in range(problem.weeks):
            later = np.zeros(grid.size)
            for move, one, two in zip(moves, *likely, strict=True):
                later += (belief * one + (1 - belief) * two) * np.interp(grid + move, grid, ahead)
            offer = at_once + later > ahead if offered is None else offered(at_once)
            thresholds.append(float(grid[offer][0]) if offer.any() else math.inf)
            ahead = np.where(offer, at_once + later, ahead)
        return ahead, thresholds[::-1]

    best, thresholds = value(None)
    myopic, _ = value(lambda now: now > 0)
    start = math.log(problem.share / (1 - problem.share))
    return BeliefOptimum(
        grid,
        np.array(thresholds),
        float(np.interp(start, grid, best)),
        float(np.interp(start, grid, myopic)),
    )


def _expected_profit(problem: SmallProblem) -> tuple[float, float]:
    """Profit of a week with an offer above one without, for each kind, currency units."""
    found = []
    for kind, lift in enumerate((problem.lift, 0.0)):
        rate = problem.rate * math.exp(lift)
        used = problem.redeems[kind] * (1 - math.exp(-rate))
        found.append((rate - problem.rate) * problem.margin - used * problem.item_cost)
    return found[0], found[1]


def optimal_gain(
    problem: SmallProblem, optimum: BeliefOptimum, customers: Customers, key: np.uint64
) -> NDArray[np.float64]:
    """Gain of each customer under the optimal policy in the market, currency units, shape (n,).

    Its mean is ``optimum.gain`` but for luck: the check that dynamic programme and market agree.
    """
    rules = problem.world.rules()
    treated, control = (
        Engine(customers.take(np.arange(customers.n)), rules.copy(), key) for _ in range(2)
    )
    odds = np.full(customers.n, math.log(problem.share / (1 - problem.share)))
    gain = np.zeros(customers.n)
    for week in range(problem.weeks):
        offer = odds >= optimum.threshold[week]
        treated.advance(offer.astype(np.uint8))
        control.advance()
        mine, other = treated.customers.outcome, control.customers.outcome
        gain += mine["margin"].astype(float) - mine["item_cost"] - other["margin"]
        more = evidence(problem, mine["purchases"].astype(int), mine["redeemed"].astype(int))
        odds = np.where(offer, odds + more, odds)
    return gain / _MINOR


def gain_of(
    problem: SmallProblem, policy: Policy, customers: Customers, key: np.uint64
) -> NDArray[np.float64]:
    """Gain of each customer under a policy, currency units, shape (n,)."""
    governed = GovernedPolicy(policy, ConstraintParameters(), customers.n)
    run = paired_run(problem.world, customers, key, governed, problem.weeks)
    gain: NDArray[np.float64] = run.lift("profit") / _MINOR
    return gain
