"""What happened in an environment, as arrays: for offline learning and off-policy evaluation."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError
from envs.features import FEATURE_NAMES
from envs.offers import OfferVectorEnv

# Observation (N, F) and mask (N, A) to actions (N,), or to actions and their propensities.
Acting = Callable[
    [NDArray[np.float32], NDArray[np.bool_]],
    NDArray[np.integer] | tuple[NDArray[np.integer], NDArray[np.floating]],
]


@dataclass(frozen=True)
class Trajectories:
    """T weeks of N customers; everything before ``reward`` is as of the decision.

    Attributes
    ----------
    observation, mask
        What the policy saw, shape (T, N, F) float32; allowed actions, (T, N, A) bool.
    action, executed
        Asked for and carried out, (T, N) int64. They differ where a mask or the budget bound.
    propensity
        Probability with which ``action`` was chosen, (T, N) float64; NaN where it was not given.
    reward
        (T, N) float64, currency units.
    costs
        Of each of ``cost_names``, (T, N, C) float64.
    terminated, truncated
        (T, N) bool.
    valid
        (T, N) bool: False where a row only restarted (autoreset NEXT_STEP) and nothing happened.
    next_observation
        After the week, before any restart, (T, N, F) float32.
    cost_names, feature_names, action_labels
        Names of the last axes.
    """

    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    action: NDArray[np.int64]
    executed: NDArray[np.int64]
    propensity: NDArray[np.float64]
    reward: NDArray[np.float64]
    costs: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    next_observation: NDArray[np.float32]
    cost_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    action_labels: tuple[str, ...]

    def save(self, path: str | Path) -> None:
        """Write a compressed ``.npz``, whole or not at all.

        Raises
        ------
        InputError
            If the name does not end in ``.npz``.
        """
        path = _checked(path)
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                kept: dict[str, Any] = {
                    field.name: np.asarray(getattr(self, field.name)) for field in _FIELDS
                }
                np.savez_compressed(file, **kept)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> "Trajectories":
        """Read what ``save`` wrote.

        Raises
        ------
        InputError
            If the file is missing, or no such file.
        """
        path = _checked(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                found: dict[str, Any] = {field.name: file[field.name] for field in _FIELDS}
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: no trajectories: {error}") from error
        for name in _NAMES:
            found[name] = tuple(found[name].tolist())
        return cls(**found)


_FIELDS = fields(Trajectories)
_NAMES = ("cost_names", "feature_names", "action_labels")


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"{path}: trajectories are kept as .npz")
    return path


def collect(env: OfferVectorEnv, act: Acting, steps: int, seed: int | None = None) -> Trajectories:
    """Let a policy act for some weeks and keep all that happens.

    Parameters
    ----------
    env
        With autoreset NEXT_STEP or SAME_STEP; it is reset first.
    act
        Gives actions, or actions and propensities, for observation and mask.
    steps
        Weeks T, at least 1.
    seed
        Of the reset.

    Raises
    ------
    ValueError
        For fewer than one step, or propensities outside 0 to 1.
    """
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    observation, info = env.reset(seed=seed)
    kept: dict[str, list[Any]] = {field.name: [] for field in _FIELDS if field.name not in _NAMES}
    restarting = np.zeros(env.num_envs, bool)
    next_step = env.autoreset_mode.value == "NextStep"
    for _ in range(steps):
        mask = info["action_mask"]
        action, propensity = _answer(act(observation, mask), env.num_envs)
        before = observation
        observation, reward, terminated, truncated, info = env.step(action)
        after = observation
        if "final_obs" in info:
            ended = info["_final_obs"]
            after = observation.copy()
            after[ended] = np.stack(info["final_obs"][ended])
        week = {
            "observation": before,
            "mask": mask,
            "action": action,
            "executed": info["executed"],
            "propensity": propensity,
            "reward": reward,
            "costs": np.stack(list(info["costs"].values()), axis=1),
            "terminated": terminated,
            "truncated": truncated,
            "valid": ~restarting,
            "next_observation": after,
        }
        for name, value in week.items():
            kept[name].append(value)
        if next_step:
            restarting = terminated | truncated
    return Trajectories(
        **{name: np.stack(values) for name, values in kept.items()},
        cost_names=tuple(info["costs"]),
        feature_names=FEATURE_NAMES,
        action_labels=env.table.labels,
    )


def _answer(given: Any, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    action, propensity = given if isinstance(given, tuple) else (given, np.full(n, np.nan))
    propensity = np.asarray(propensity, dtype=np.float64)
    if propensity.shape != (n,) or (propensity < 0).any() or (propensity > 1).any():
        raise ValueError(f"propensities must have shape ({n},) and lie in 0..1")
    return np.array(action, dtype=np.int64), propensity
