"""Weekly offers to one customer, as a Gymnasium environment."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.offers import OfferVectorEnv
from envs.task import OfferTask


class OfferEnv(gym.Env[Any, Any]):
    """One customer decided on week by week: ``OfferVectorEnv`` with a single row.

    Action, observation, reward, start, end and info are those of ``OfferVectorEnv`` without the
    leading axis. Id: ``loyaltylab/Offers-v0``. With ``row`` and ``rows`` it is that row of a
    vector environment of ``rows``: the same customers with the same luck.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own form

    def __init__(
        self,
        task: OfferTask | None = None,
        render_mode: str | None = None,
        row: int = 0,
        rows: int = 1,
    ) -> None:
        self.vector = OfferVectorEnv(1, task, AutoresetMode.DISABLED, render_mode, row, rows)
        self.render_mode = None
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; a seed fixes all that follows."""
        super().reset(seed=seed)
        observation, info = self.vector.reset(seed=seed, options=options)
        return observation[0], _first(info)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One week."""
        observation, reward, terminated, truncated, info = self.vector.step(np.array([int(action)]))
        return (
            observation[0],
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _first(info),
        )

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, shape (A,)."""
        mask: NDArray[np.bool_] = self.vector.action_masks()[0]
        return mask


def _first(info: dict[str, Any]) -> dict[str, Any]:
    """Info of the only row."""
    return {k: _first(v) if isinstance(v, dict) else v[0] for k, v in info.items()}
