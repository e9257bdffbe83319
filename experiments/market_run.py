"""A market, or two on the same luck: KPIs week by week and what each customer brought."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.population import PosteriorLike
from agents.records import Customers
from agents.rng import derive_seed
from envs.decision import GovernedPolicy
from experiments.config import SimulateConfig
from experiments.evaluation import make_policy
from experiments.worlds import build_world, draw_customers
from policies.catalogue import build_experiment
from policies.heuristics import NoOffers
from sim.counterfactual import Branch, BranchRun, Effect, PairedRun, paired, run_branches
from sim.market import LoyaltyMarket
from sim.metrics import Estimate, paired_mean, weekly_kpis
from sim.uncertainty import VarianceReduction, variance_reduction
from sim.world import World

if TYPE_CHECKING:
    import pandas as pd

# What a run says of each customer: the outcome it is, and minor units in the unit it is told in.
PER_CUSTOMER = {
    "purchases": ("purchases", 1.0),
    "revenue": ("revenue", 100.0),
    "margin": ("margin", 100.0),
    "offer_cost": ("offer_cost", 100.0),
    "reward_cost": ("reward_cost", 100.0),
    "liability_change": ("liability_change", 100.0),
    "profit": ("profit", 100.0),
    "still_there": ("alive", 1.0),
}
# The other side once more with its own luck, to see what common luck saves.
_ALONE = 1
_KEPT_DECISIONS = 200_000  # of an experiment, for off-policy estimates: about 100 MB


class MarketRun(NamedTuple):
    """What a market brought in the weeks that count.

    Attributes
    ----------
    frame
        Totals by week, as the market's data collector has them.
    tiers
        Share of members in each tier by week, shape (weeks,) by name; none under a programme with
        a single tier.
    per_customer
        ``PER_CUSTOMER`` by name, shape (n,), money in currency units; prospects are among them,
        with zeros until they join.
    governed
        The policy under its constraints; None where no offers are made.
    starting
        Customers when counting began.
    """

    frame: "pd.DataFrame"
    tiers: dict[str, NDArray[np.float64]]
    per_customer: dict[str, NDArray[np.float64]]
    governed: GovernedPolicy | None
    starting: int

    @property
    def kpis(self) -> "pd.DataFrame":
        """By week: ``week``, the columns of ``sim.metrics.KPIS``, ``tier_<name>`` for each tier."""
        shares = {f"tier_{name}": values for name, values in self.tiers.items()}
        return weekly_kpis(self.frame).assign(**shares)


class Comparison(NamedTuple):
    """A market, and the one that the same customers met on the same luck.

    Attributes
    ----------
    run, against
        Both markets; ``against`` is None without one.
    pair
        Their lifts per customer; None without ``against``.
    saved
        What common luck saves by ``PER_CUSTOMER``; empty if it was not asked for.
    """

    run: MarketRun
    against: MarketRun | None
    pair: PairedRun | None
    saved: dict[str, VarianceReduction]

    def lift(self, what: str, effect: Effect = "total", confidence: float = 0.95) -> Estimate:
        """Mean lift of one of ``PER_CUSTOMER`` with its interval over customers."""
        assert self.pair is not None
        outcome, unit = PER_CUSTOMER[what]
        return paired_mean(self.pair.lift(outcome, effect) / unit, confidence)


def run_markets(
    config: SimulateConfig,
    other: SimulateConfig | None,
    posterior: PosteriorLike,
    response: str,
    tell: Callable[[], None] | None = None,
    *,
    closely: bool = False,
    draw: int = 0,
    cohort: int = 0,
) -> Comparison:
    """Run a market, and perhaps another side by side; each alone would bring the same.

    The same seed gives the same customers and luck whatever the programme and the policy.

    Parameters
    ----------
    config, other
        Two sides that differ in programme or policy. ``warmup_weeks`` run without offers, each
        side in its own programme, and are not counted.
    posterior
        What customers are drawn from.
    response
        Name of the response world.
    tell
        Called after each week.
    closely
        Also run the other side on independent luck, and this one with neighbours and rivals as
        the other side has them, where customers or rivals answer to one another at all.
    draw, cohort
        Posterior draw, 0 the mode; which ``config.customers`` of its endless customers.
    """
    sides = [config] if other is None else [config, other]
    customers = draw_customers(config, posterior, "population", config.customers, draw, cohort)
    worlds = [build_world(side, posterior, response, draw) for side in sides]
    governed = [_governed(side) for side in sides]
    branches = [
        Branch(name, world, decider)
        for name, world, decider in zip(("run", "against"), worlds, governed, strict=False)
    ][::-1]
    closely = closely and other is not None
    if closely:
        branches.append(Branch("alone", worlds[1], _governed(sides[1]), replica=_ALONE))
    met = any(_interacting(world, any(governed)) for world in worlds)
    tiers = _TierShares(branches, {"run": config, "against": other or config})
    done = run_branches(
        branches,
        customers,
        derive_seed(config.seed, "world"),
        config.weeks,
        warmup_weeks=config.warmup_weeks,
        direct=("run",) if closely and met else (),
        tell=tell,
        watch=tiers.watch,
    )
    found = {run.branch.name: run for run in done}
    market = _market_run(config, found["run"], governed[0], tiers.shares["run"])
    if other is None:
        return Comparison(market, None, None, {})
    rival = _market_run(other, found["against"], governed[1], tiers.shares["against"])
    saved = {}
    if closely:
        for what, (outcome, unit) in PER_CUSTOMER.items():
            ours, theirs, again = (
                found[name].totals.outcome(outcome) / unit for name in ("run", "against", "alone")
            )
            saved[what] = variance_reduction(ours, theirs, again)
    return Comparison(market, rival, paired(found["run"], found["against"]), saved)


def run_market(
    config: SimulateConfig,
    posterior: PosteriorLike,
    response: str,
    tell: Callable[[], None] | None = None,
) -> MarketRun:
    """One side alone; see ``run_markets``."""
    return run_markets(config, None, posterior, response, tell).run


def tier_shares(customers: Customers, tiers: int) -> NDArray[np.float64]:
    """Share of members with an open account in each tier; zeros without members."""
    account = customers.account
    members = (account["enrolled"] > 0) & (account["closed"] == 0)
    counts = np.bincount(account["tier"][members], minlength=tiers)
    return np.asarray(counts / max(int(members.sum()), 1))


class _TierShares:
    """Shares of the tiers by week of the branches that are told of."""

    def __init__(self, branches: Sequence[Branch], sides: dict[str, SimulateConfig]) -> None:
        self._names = [branch.name for branch in branches]
        self._tiers = {name: len(side.programme.tiers) for name, side in sides.items()}
        self.shares: dict[str, list[NDArray[np.float64]]] = {name: [] for name in sides}

    def watch(self, markets: Sequence[LoyaltyMarket]) -> None:
        for name, market in zip(self._names, markets, strict=True):
            if name in self.shares:
                self.shares[name].append(tier_shares(market.customers, self._tiers[name]))


def _governed(config: SimulateConfig) -> GovernedPolicy | None:
    """The policy under its constraints, None where it makes no offers."""
    if config.policy == "no_offers":
        return None
    if config.policy == "experiment":
        share = min(1.0, _KEPT_DECISIONS / (config.customers * config.weeks))
        experiment = build_experiment(config.seed, config.arms, share)
        return GovernedPolicy(experiment, config.constraints, config.customers)
    policy = make_policy(config.policy, config, NoOffers())
    return GovernedPolicy(policy, config.constraints, config.customers)


def _interacting(world: World, offers: bool) -> bool:
    """Do customers meet each other, or rivals who answer to the firm's offers?"""
    answer = world.competitor.reaction * float(world.rules()["behaviour"]["competitor_reaction"][0])
    return world.effective().network.kind != "none" or (offers and answer > 0)


def _market_run(
    config: SimulateConfig,
    run: BranchRun,
    governed: GovernedPolicy | None,
    tiers: list[NDArray[np.float64]],
) -> MarketRun:
    frame = run.frame
    if not config.programme.active:  # accounts stay enrolled, but in nothing
        frame = frame.assign(members=0)
    by_tier = {}
    if config.programme.active and len(config.programme.tiers) > 1:
        names = (tier.name for tier in config.programme.tiers)
        by_tier = dict(zip(names, np.array(tiers).T, strict=True))
    per_customer = {
        what: run.totals.outcome(outcome) / unit for what, (outcome, unit) in PER_CUSTOMER.items()
    }
    return MarketRun(frame, by_tier, per_customer, governed, run.starting["customers"])
