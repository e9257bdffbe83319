"""Adversaries in the customer environment, against its own enforcement (``SharedLimits``)."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.records import Customers
from envs.constraints.names import EVERY_CONSTRAINT, Constraint, all_but
from envs.constraints.parameters import ConstraintParameters
from envs.decision import Decision, DecisionContext
from envs.offers import OfferVectorEnv
from envs.task import OfferTask
from experiments.bench.adversaries import ADVERSARIES
from experiments.bench.attacked import SEED, force_worst_case, limits, mutants, responding
from experiments.bench.watched import WatchedOffers
from experiments.config import options
from sim.world import World

HORIZON = 18  # beyond the longest window of a contact cap, so that each can bind before the end
_HAZARD, _CLOSING = 0.03, 0.5  # a week; episodes end at all times, some because accounts close
_RESTARTED = 0.02  # share of rows restarted in mode DISABLED before they have ended
MODES = tuple(AutoresetMode)


def task_of(name: str, n: int, constraints: ConstraintParameters, paired: bool) -> OfferTask:
    """Episodes in every response world of a world of conf/world, and under a programme without
    tiers, whose points are worth less to those who hold them.
    """
    worlds, customers = responding(name, n)
    customers.traits["hazard"] = _HAZARD
    worlds = tuple(_closing(world) for world in worlds)
    programme = replace(
        worlds[0].programme, tiers=worlds[0].programme.tiers[:1], breakage=0.5, name="without_tiers"
    )
    worlds = (*worlds, worlds[0]._replace(programme=programme))
    pools = [customers.take(slice(None)) for _ in worlds]
    pools[-1].account["tier"] = 0
    pools[-1].profile["tier"] = 0
    return OfferTask(worlds, tuple(pools), constraints, HORIZON, paired)


def at_their_worst(task: OfferTask) -> OfferTask:
    """The same with customers whose offers cost their cap."""
    pools: tuple[Customers, ...] = tuple(pool.take(slice(None)) for pool in task.pools)
    for pool in pools:
        force_worst_case(pool)
    return replace(task, pool=pools)


def attack_environment(
    task: OfferTask,
    n: int,
    adversary: str,
    mode: AutoresetMode,
    weeks: int,
    enforced: int = EVERY_CONSTRAINT,
) -> WatchedOffers:
    """One adversary in one environment of n rows; the watcher when it is over.

    Half of the rows, another half each week, ask for the adversary's best action whatever the mask
    says, the others for the best that it allows.
    """
    env = OfferVectorEnv(n, task, mode, enforced=enforced)
    policy = ADVERSARIES[adversary](env.table, SEED)
    watched = WatchedOffers(env, SEED)
    luck = np.random.default_rng(SEED)
    for week in range(weeks):
        context = DecisionContext(week, env.episodes.replica, env.table)
        score = policy.propose(watched.observation, watched.mask, context)
        obeying = (np.arange(n) + week) % 2 == 0
        score[obeying[:, None] & ~watched.mask] = -np.inf
        wanted = score.argmax(axis=1)
        executed = watched.step(wanted)
        policy.told(_decision(env, wanted, executed), watched.ledger)
        if mode == AutoresetMode.DISABLED:
            watched.restart(luck.random(n) < _RESTARTED)
    return watched


def attacks(n: int, weeks: int) -> Iterator[tuple[str, WatchedOffers]]:
    """Every adversary under each set of limits, in every world and mode: what it was, and the
    watcher. Rewards are paired in mode DISABLED, where closed accounts then stay.
    """
    for name in options("world"):
        for kind, constraints in limits().items():
            for mode in MODES:
                paired = mode == AutoresetMode.DISABLED
                task = at_their_worst(task_of(name, n, constraints, paired))
                for adversary in ADVERSARIES:
                    watched = attack_environment(task, n, adversary, mode, weeks)
                    yield f"environment: {name}, {kind}, {mode.value}, {adversary}", watched


def environment_mutations(n: int, weeks: int) -> dict[str, int]:
    """Violations found when one constraint's code is disabled, by constraint; each above 0."""
    found = {}
    for constraint, constraints in mutants().items():
        task = task_of("grocery", n, constraints, paired=True)
        watched = attack_environment(
            task, n, "random", AutoresetMode.DISABLED, weeks, all_but(constraint)
        )
        name = constraint.name.lower()
        found[name] = watched.ledger.violations[name]
    return found


def _closing(world: World) -> World:
    """The same where customers leave soon, and tell."""
    return world._replace(dynamics=replace(world.dynamics, close_account_probability=_CLOSING))


def _decision(env: OfferVectorEnv, wanted: np.ndarray, executed: np.ndarray) -> Decision:
    """What the environment tells, as the market's policies are told it."""
    commitment = env.table.commitment
    return Decision(
        wanted.astype(np.int16),
        executed.astype(np.int16),
        np.full(len(wanted), Constraint.NONE, np.uint8),
        0.0,
        int(commitment[executed].sum()),
        int(commitment[wanted].sum()),
    )
