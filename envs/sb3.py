"""Adapter from the native vector environment to Stable-Baselines3's VecEnv, with masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from envs.offers import OfferTask, OfferVectorEnv


class OfferVecEnv(VecEnv):
    """``OfferVectorEnv`` with SAME_STEP autoreset, as SB3 expects.

    SB3 wants one info dict per row; rows that did not end share one empty dict.

    Parameters
    ----------
    num_envs, task
        As for ``OfferVectorEnv``.
    """

    def __init__(self, num_envs: int, task: OfferTask) -> None:
        self.env = OfferVectorEnv(num_envs, task, AutoresetMode.SAME_STEP)
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
        nothing: dict[str, Any] = {}
        infos = [nothing] * self.num_envs
        done = terminated | truncated
        for row in np.flatnonzero(done):
            infos[row] = {
                "terminal_observation": info["final_obs"][row],
                "TimeLimit.truncated": bool(truncated[row]),
            }
        return observation, reward.astype(np.float32), done, infos

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
        """Rows of a method that answers for all rows at once (``action_masks``)."""
        answer = getattr(self.env, method_name)(*arguments, **keywords)
        return answer if indices is None else answer[self._rows(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never wrapped."""
        return [False] * len(self._rows(indices))

    def _rows(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))
