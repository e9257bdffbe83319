"""Bandits learn on a task's environment, an episode of all rows at a time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from agents.ranges import check_range
from agents.rng import derive_seed
from envs.offers import OfferVectorEnv
from envs.task import OfferTask
from policies.bandits.policies import LinearBandit, LinTs, LinUcb
from policies.base import DecisionContext

if TYPE_CHECKING:
    from policies.training_run import TrainingRun

B = TypeVar("B", bound=LinearBandit)


@dataclass(frozen=True)
class BanditParameters:
    """Settings of LinUCB and LinTS.

    Parameters
    ----------
    total_steps
        Customer-weeks to learn from.
    environments
        Customers side by side.
    window, prior, exploration, confidence
        See ``policies.bandits.policies.LinearBandit``.
    keep_learning
        Whether the policy goes on learning in the market that it is used in.
    """

    total_steps: int = 1_000_000
    environments: int = 2048
    window: int = 4
    prior: float = 1.0
    exploration: float = 1.0
    confidence: float = 0.95
    keep_learning: bool = False

    def __post_init__(self) -> None:
        check_range("total_steps", self.total_steps, 1, 1e12)
        check_range("environments", self.environments, 1, 1e7)
        check_range("window", self.window, 1, 52)
        check_range("prior", self.prior, 1e-9, 1e9)
        check_range("exploration", self.exploration, 0.0, 100.0)
        check_range("confidence", self.confidence, 0.5, 1 - 1e-9)


def learn_lin_ucb(
    task: OfferTask, parameters: BanditParameters, seed: int, run: "TrainingRun"
) -> LinUcb:
    """Learn LinUCB on the task; see ``_learn``."""
    return _learn(LinUcb, task, parameters, seed, run)


def learn_lin_ts(
    task: OfferTask, parameters: BanditParameters, seed: int, run: "TrainingRun"
) -> LinTs:
    """Learn LinTS on the task; see ``_learn``."""
    return _learn(LinTs, task, parameters, seed, run)


def _learn(
    kind: type[B], task: OfferTask, parameters: BanditParameters, seed: int, run: "TrainingRun"
) -> B:
    """Learn from the environment's rewards; with ``task.paired`` these are paired.

    An iteration is one episode of all rows, with luck of its own, and state is kept after each,
    so that a run taken up again equals one that went through.
    """
    env = OfferVectorEnv(parameters.environments, task)
    policy = kind(
        env.table.n,
        derive_seed(seed, "plan"),
        parameters.window,
        parameters.prior,
        parameters.exploration,
        parameters.confidence,
    )
    luck = int(derive_seed(seed, "plan")) >> 16  # leaves room for the iterations
    iteration = 0
    kept = run.load()
    if kept is not None:
        policy.models.restore(kept["models"])
        iteration = int(kept["iteration"])
    per_iteration = parameters.environments * task.horizon
    while iteration * per_iteration < parameters.total_steps and not run.over:
        reward, contacts = _episode(env, policy, task.horizon, luck + iteration, iteration)
        iteration += 1
        run.log(iteration * per_iteration, reward_per_week=reward, contact_share=contacts)
        run.save({"models": policy.models.state(), "iteration": iteration})
    if not parameters.keep_learning:
        policy.frozen()
    return policy


def _episode(
    env: OfferVectorEnv, policy: LinearBandit, weeks: int, seed: int, iteration: int
) -> tuple[float, float]:
    """One episode of all rows; mean reward per customer-week and share contacted."""
    observation, info = env.reset(seed=seed)
    ids = np.arange(env.num_envs, dtype=np.uint64)
    valid = np.ones(env.num_envs, bool)
    total = contacts = weeks_lived = 0.0
    for week in range(weeks):
        context = DecisionContext(iteration * weeks + week, ids, env.table)
        mask = info["action_mask"]
        score = np.where(mask, policy.propose(observation, mask, context), -np.inf)
        before = observation
        observation, reward, terminated, truncated, info = env.step(score.argmax(axis=1))
        executed = info["executed"]
        policy.observe(before, executed, reward, valid, terminated | truncated)
        total += float(reward[valid].sum())
        contacts += float((executed[valid] > 0).sum())
        weeks_lived += float(valid.sum())
        # A row that ended only restarts in the next week: nothing happens in it then.
        valid = ~(terminated | truncated)
    policy.finish()
    return total / weeks_lived, contacts / weeks_lived
