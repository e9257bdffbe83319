"""Adapter from the native vector environment to Stable-Baselines3's VecEnv, with masks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from envs.offers import OfferVectorEnv
from envs.task import OfferTask

TerminalValue = Callable[[NDArray[np.float32]], NDArray[np.floating]]


class OfferVecEnv(VecEnv):
    """``OfferVectorEnv`` with SAME_STEP autoreset, as SB3 expects.

    SB3 wants one info dict per row; rows that did not end share one empty dict.

    Parameters
    ----------
    num_envs, task
        As for ``OfferVectorEnv``.
    env
        The rows, in mode SAME_STEP, where they are not to be made of the task.

    Attributes
    ----------
    terminal_value
        None, or a function of last observations, shape (m, N_FEATURES), that gives what to add
        to the rewards of truncated episodes, shape (m,): γ times the value. SB3 adds that
        itself, but calls the network once for every row; with this set it is called once a week
        and SB3 is not told of the truncation, so that it does not add the value again.
    week_reward
        Rewards of the last week without any terminal value, shape (num_envs,).
    """

    def __init__(self, num_envs: int, task: OfferTask, env: OfferVectorEnv | None = None) -> None:
        self.env = env or OfferVectorEnv(num_envs, task, AutoresetMode.SAME_STEP)
        self.terminal_value: TerminalValue | None = None
        self.week_reward: NDArray[np.float64] = np.zeros(num_envs)
        self._actions: NDArray[np.integer] = np.zeros(num_envs, np.int64)
        super().__init__(num_envs, self.env.single_observation_space, self.env.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """Start all rows, with the seed given to ``seed`` if any."""
        observation, _ = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        return observation

    def step_async(self, actions: NDArray[np.integer]) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observation, rewards, dones and infos of one week."""
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        self.week_reward = reward
        reward = reward.astype(np.float32)
        nothing: dict[str, Any] = {}
        infos = [nothing] * self.num_envs
        done = terminated | truncated
        if done.any():
            last, told = info["final_obs"], truncated
            if self.terminal_value is not None and truncated.any():
                reward[truncated] += self.terminal_value(np.stack(last[truncated]))
                told = np.zeros_like(truncated)
            for row in np.flatnonzero(done):
                infos[row] = {
                    "terminal_observation": last[row],
                    "TimeLimit.truncated": bool(told[row]),
                }
        return observation, reward, done, infos

    def close(self) -> None:
        """Nothing to release."""

    def has_attr(self, attr_name: str) -> bool:
        """Whether the rows offer this; masks they do."""
        return attr_name == "action_masks" or hasattr(self.env, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The shared attribute, once per row asked for."""
        return [getattr(self.env, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: rows share one environment."""
        raise AttributeError(f"{attr_name}: rows share one environment; build it anew")

    def env_method(
        self, method_name: str, *arguments: Any, indices: Any = None, **keywords: Any
    ) -> Any:
        """Answers of a method that answers for all rows at once (``action_masks``).

        Without ``indices`` all rows are one answer, shape (1, num_envs, …): sb3-contrib stacks
        what it gets, and stacking rows one by one takes longer than the environment's week.
        """
        answer = getattr(self.env, method_name)(*arguments, **keywords)
        return answer[np.newaxis] if indices is None else answer[self._rows(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never wrapped."""
        return [False] * len(self._rows(indices))

    def _rows(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))
