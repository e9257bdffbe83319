"""The offers environment as PPO trains on it: multipliers and prices come off the reward."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.records import Customers
from agents.rng import derive_seed
from envs.features import HIGH, LOW
from envs.offers import OfferVectorEnv
from envs.task import OfferTask
from policies.ppo.expected import ExpectedCosts, Week
from policies.ppo.lagrange import MultiplierParameters, Multipliers
from policies.ppo.price import draw_prices
from sim.ledger import MICRO

# What episodes have come to; the rest is made of the task.
_RUNNING = ("_ended", "_blocked", "_weeks", "_shared", "price", "_rng", "_np_random")


class ChargedOffers(OfferVectorEnv):
    """``OfferVectorEnv`` in mode SAME_STEP whose reward is less what constraints and budget cost.

    Parameters
    ----------
    num_envs, task
        As for ``OfferVectorEnv``.
    multipliers
        Of the task's expected constraints (``ExpectedCosts``).
    highest_price
        Above 0, each episode has a price per unit of commitment up to this, the last column of
        the observation (``policies.ppo.price``).

    Attributes
    ----------
    earned
        Rewards of the last week before any charge, shape (num_envs,).
    price
        Of the running episodes, shape (num_envs,).
    """

    def __init__(
        self,
        num_envs: int,
        task: OfferTask,
        multipliers: MultiplierParameters,
        highest_price: float = 0.0,
    ) -> None:
        super().__init__(num_envs, task, AutoresetMode.SAME_STEP)
        self.expected = ExpectedCosts(task.constraints, self.table)
        self.multipliers = Multipliers(self.expected.names, multipliers)
        self.highest_price = highest_price
        self.earned: NDArray[np.float64] = np.zeros(num_envs)
        self.price: NDArray[np.float64] = np.zeros(num_envs)
        self._rng = np.random.default_rng(0)
        self._violations: list[NDArray[np.float64]] = []
        self._per_point = self._rules["programme"]["liability_per_point"] / MICRO / 100.0
        if highest_price > 0:
            low, high = np.append(LOW, 0.0), np.append(HIGH, highest_price)
            space = gym.spaces.Box(low.astype(np.float32), high.astype(np.float32))
            self.single_observation_space = space
            self.observation_space = gym.vector.utils.batch_space(space, num_envs)

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """As the parent's, with new prices."""
        observation, info = super().reset(seed=seed, options=options)
        if seed is not None:
            self._rng = np.random.default_rng(
                int(derive_seed(int(self.episodes.key) % 2**31, "plan"))
            )
        self._draw(np.arange(self.num_envs))
        return self._with_price(observation), info

    def step(self, actions: NDArray[np.integer]) -> Any:
        """As the parent's; the reward is less the charges, and ``earned`` has it before."""
        price = self.price.copy()
        before = self._before() if self.expected.names else None
        observation, reward, terminated, truncated, info = super().step(actions)
        self.earned = reward
        reward = reward.copy()
        if before is not None:
            charged, violation = self.expected.of(
                before._replace(
                    executed=info["executed"],
                    settled=info["cost"],
                    liability_change=info["costs"]["liability_alarm"],
                )
            )
            self._violations.append(violation)
            reward -= self.multipliers.charge(charged)
        if self.highest_price > 0:
            reward -= price * self.table.commitment[info["executed"]] / 100.0
            ended = np.flatnonzero(terminated | truncated)
            for row in ended:
                info["final_obs"][row] = np.append(info["final_obs"][row], np.float32(price[row]))
            self._draw(ended)
        return self._with_price(observation), reward, terminated, truncated, info

    def update_multipliers(self) -> dict[str, float]:
        """One step of dual ascent with the weeks since the last; figures for the log."""
        if self._violations:
            self.multipliers.update(np.mean(self._violations, axis=0))
            self._violations = []
        return self.multipliers.figures()

    def state(self) -> dict[str, Any]:
        """Everything that changes from week to week; ``restore`` goes on with the same digits."""
        return {
            "running": {name: getattr(self, name) for name in _RUNNING},
            "episodes": self.episodes.running(),
            "expected": self.expected.state(),
            "multipliers": self.multipliers.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state`` of an environment with the same task and rows."""
        for name, value in state["running"].items():
            setattr(self, name, value)
        self.episodes.resume(state["episodes"])
        self.expected.restore(state["expected"])
        self.multipliers.restore(state["multipliers"])

    def _before(self) -> Week:
        own = self.customers
        nobody = own.traits[:0], own.state[:0]
        kept = Customers(*nobody, own.account.copy(), own.profile.copy(), own.outcome[:0])
        eligible = (self._blocked[:, 1:] == 0).any(axis=1)
        zero = np.zeros(self.num_envs)
        per_point = self._per_point[self.episodes.world]
        return Week(kept, eligible, zero.astype(np.int64), zero, zero, per_point)

    def _draw(self, rows: NDArray[np.intp]) -> None:
        if self.highest_price > 0:
            self.price[rows] = draw_prices(self._rng, rows.size, self.highest_price)

    def _with_price(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.highest_price <= 0:
            return observation
        return np.column_stack([observation, self.price.astype(np.float32)])
