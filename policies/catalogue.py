"""Every policy by name: what it is, and how to build or learn it.

The command line, the demo and the benchmark read this one table. Learners are named by module and
imported when asked for, so that reading the table loads no torch and no scikit-learn.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from agents.rng import derive_seed
from envs.task import OfferTask
from policies.base import Policy
from policies.heuristics import (
    Blanket,
    ChurnClv,
    ClvGreedy,
    NoOffers,
    Random,
    RfmRules,
    Triggers,
)

if TYPE_CHECKING:
    from policies.bandits.experiment import ContinuousExperiment
    from policies.training_run import TrainingRun

Learn = Callable[[OfferTask, Any, int, "TrainingRun"], Policy]


# Of an experiment; no offers is always one more.
ARMS = ("triggers", "rfm_rules", "clv_greedy")
# What ends a training before its time, and a value that never does.
_ENDLESS: dict[str, Any] = {
    "total_steps": 10**12,
    "states": 120_000,
    "passes": 1000,
    "iterations": 1000,
    "customers": 10**8,  # the whole pool
}


@dataclass(frozen=True)
class Entry:
    """One policy of the ladder.

    Parameters
    ----------
    name
        In configuration, reports and JSON.
    sentence
        What it is, for a reader who knows none of the methods.
    build
        Makes a fresh one from a seed; None where it is learned or sees what a firm cannot.
    learner, parameters
        Where the learner ``(task, parameters, seed, run) -> Policy`` and its frozen settings are,
        as "module:name"; empty where nothing is learned.
    settings
        By which its settings differ from the defaults.
    latent
        Sees what a firm cannot: a reference that is never deployed. It decides on the market
        itself; what is not learned is made where the market is.
    """

    name: str
    sentence: str
    build: Callable[[int], Policy] | None = None
    learner: str = ""
    parameters: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    latent: bool = False

    @property
    def learned(self) -> bool:
        """Whether it is learned on a task and may be deployed."""
        return bool(self.learner) and not self.latent

    def learn(self) -> Learn:
        """The learner, imported now.

        Raises
        ------
        ValueError
            If nothing is learned.
        """
        if not self.learner:
            raise ValueError(f"policy {self.name!r} is not learned")
        return cast(Learn, _named(self.learner))

    def kind(self) -> type[Any]:
        """The frozen dataclass of its settings, imported now.

        Raises
        ------
        ValueError
            If nothing is learned.
        """
        if not self.parameters:
            raise ValueError(f"policy {self.name!r} is not learned")
        return cast("type[Any]", _named(self.parameters))

    def endless(self) -> dict[str, Any]:
        """Settings with which time alone ends the training; imported now."""
        names = {one.name for one in fields(self.kind())}
        return {name: most for name, most in _ENDLESS.items() if name in names}

    def parameters_with(self, **settings: Any) -> Any:
        """Its settings, with these changed; imported now.

        Raises
        ------
        ValueError
            If nothing is learned, or a setting is out of range.
        """
        return self.kind()(**{**self.settings, **settings})


def _random(seed: int) -> Policy:
    return Random(derive_seed(seed, "plan"))


_LADDER = (
    Entry(
        "no_offers",
        "The programme runs and nobody gets an offer: what everything is compared with.",
        lambda seed: NoOffers(),
    ),
    Entry("random", "Each week a quarter of the customers get a random allowed offer.", _random),
    Entry("blanket", "Everybody gets the smallest discount.", lambda seed: Blanket()),
    Entry(
        "rfm_rules",
        "Segments by recency, frequency and spend, one treatment each.",
        lambda seed: RfmRules(),
    ),
    Entry(
        "triggers",
        "Offers at events: silent for longer than usual, long silent, a reward in reach.",
        lambda seed: Triggers(),
    ),
    Entry(
        "clv_greedy",
        "The most valuable customers first, with the kind of offer they use most.",
        lambda seed: ClvGreedy(),
    ),
    Entry(
        "churn_clv",
        "The most value at risk first: valuable customers who may be leaving.",
        lambda seed: ChurnClv(),
    ),
    Entry(
        "experiment",
        "Several policies side by side: known chances, a control group, traffic to what works.",
        lambda seed: build_experiment(seed),
    ),
    Entry(
        "uplift",
        "Gradient boosting on a simulated randomised trial: who brings more with an offer.",
        learner="policies.uplift.learning:learn_uplift",
        parameters="policies.uplift.learning:UpliftParameters",
    ),
    Entry(
        "lin_ucb",
        "A linear bandit that tries what may be good, then acts on what surely is.",
        learner="policies.bandits.learning:learn_lin_ucb",
        parameters="policies.bandits.learning:BanditParameters",
    ),
    Entry(
        "lin_ts",
        "A linear bandit that tries offers as often as they are likely to be best.",
        learner="policies.bandits.learning:learn_lin_ts",
        parameters="policies.bandits.learning:BanditParameters",
    ),
    # Reinforcement learning: policies/ppo.
    Entry(
        "maskable_ppo",
        "Reinforcement learning within the masks, with a price for each expected limit.",
        learner="policies.ppo.training:learn_ppo",
        parameters="policies.ppo.training:PpoParameters",
    ),
    Entry(
        "price_ppo",
        "The same, told the price of the budget, so that one network serves any budget.",
        learner="policies.ppo.training:learn_ppo",
        parameters="policies.ppo.training:PpoParameters",
        settings={"highest_price": 2.0},
    ),
    # Planning: policies/rollout.
    Entry(
        "rollout",
        "Tries every offer on simulated twins with the same luck, and learns what each is worth.",
        learner="policies.rollout.learning:learn_rollout",
        parameters="policies.rollout.parameters:RolloutParameters",
    ),
    # See the market's customers: policies/rollout/clairvoyant, policies/clairvoyant.
    Entry(
        "clairvoyant_rollout",
        "Rollout that also sees what no firm can see: what learning costs, apart from not knowing.",
        learner="policies.rollout.learning:learn_clairvoyant_rollout",
        parameters="policies.rollout.parameters:RolloutParameters",
        latent=True,
    ),
    Entry(
        "clairvoyant",
        "Sees what no firm can see; a reference for what could be had, not a policy to use.",
        latent=True,
    ),
)
CATALOGUE = {one.name: one for one in _LADDER}
NAMES = tuple(CATALOGUE)
RULES = tuple(one.name for one in _LADDER if one.build is not None)
LEARNED = tuple(one.name for one in _LADDER if one.learned)


def entry(name: str) -> Entry:
    """A policy by name.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest one.
    """
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"policy={name!r}: choose one of {', '.join(NAMES)}{hint}")
    return CATALOGUE[name]


def build_policy(name: str, seed: int) -> Policy:
    """A fresh policy that needs no learning.

    Raises
    ------
    ValueError
        For an unknown name, or a policy that must be learned or sees what a firm cannot.
    """
    one = entry(name)
    if one.build is None:
        raise ValueError(f"policy={name!r} cannot be built at once: choose {', '.join(RULES)}")
    return one.build(seed)


def check_arms(arms: Sequence[str]) -> None:
    """Whether these can be the arms of an experiment.

    Raises
    ------
    ValueError
        For a name that is no rule, for none, and for one given twice.
    """
    known = [name for name in RULES if name not in ("no_offers", "experiment")]
    for name in arms:
        if name not in known:
            raise ValueError(f"arms={list(arms)}: {name!r} is none of {', '.join(known)}")
    if not 0 < len(set(arms)) == len(arms):
        raise ValueError(f"arms={list(arms)}: give one or more of {', '.join(known)}, none twice")


def build_experiment(
    seed: int, arms: Sequence[str] = ARMS, log_share: float = 0.0
) -> "ContinuousExperiment":
    """A continuous experiment with these policies as arms, beside no offers.

    Parameters
    ----------
    seed
        Of the lotteries, and of arms that draw lots of their own.
    arms
        Names of policies that need no learning; neither ``no_offers``, which is always an arm, nor
        another experiment.
    log_share
        Share of customers whose decisions are kept for off-policy estimates.

    Raises
    ------
    ValueError
        For another name, or one given twice.
    """
    check_arms(arms)
    from policies.bandits.experiment import ContinuousExperiment, ExperimentParameters

    return ContinuousExperiment(
        [build_policy(name, seed) for name in arms],
        derive_seed(seed, "plan"),
        ExperimentParameters(log_share=log_share),
    )


def learn_policy(
    name: str, task: OfferTask, seed: int, run: "TrainingRun", **settings: Any
) -> Policy:
    """Learn a policy on a task, with these settings changed from its defaults.

    Raises
    ------
    ValueError
        For an unknown name, a policy that is not learned, or a setting out of range.
    """
    one = entry(name)
    return one.learn()(task, one.parameters_with(**settings), seed, run)


def compile_for(name: str, task: OfferTask, seed: int) -> None:
    """Have everything compiled that a training needs, before its time begins."""
    brief = OfferTask(
        task.worlds[:1], task.pools[0], task.constraints, horizon=2, paired=task.paired
    )
    learn_in_time(name, brief, seed, _training_run(seconds=0.01))


def _training_run(**settings: Any) -> "TrainingRun":
    from policies.training_run import TrainingRun

    return TrainingRun(**settings)


def learn_in_time(name: str, task: OfferTask, seed: int, run: "TrainingRun") -> Policy:
    """Learn a policy until the run's time is up.

    Raises
    ------
    ValueError
        For an unknown name, or a policy that is not learned.
    """
    return learn_policy(name, task, seed, run, **entry(name).endless())


def _named(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)
