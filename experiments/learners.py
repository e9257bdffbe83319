"""Learners by name: their settings, how they train, and where Optuna looks for better settings."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.config_builder import build

if TYPE_CHECKING:
    from envs.decision import Policy
    from envs.task import OfferTask
    from experiments.config_schema import TrainingConfig
    from policies.training_run import TrainingRun

Learn = Callable[["OfferTask", Any, int, "TrainingRun"], "Policy"]


@dataclass(frozen=True)
class Learner:
    """A learner that can be trained by itself.

    Attributes
    ----------
    what
        What it is, in a sentence.
    load
        Imports it: the dataclass of its settings and ``learn(task, parameters, seed, run)``.
    preset
        Settings that make it this learner.
    space
        What is searched: name to (low, high), even on a log scale, or to a tuple of choices.
    """

    what: str
    load: Callable[[], tuple[type[Any], Learn]]
    preset: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    space: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _ppo() -> tuple[type[Any], Learn]:
    from policies.ppo.training import PpoParameters, learn_ppo

    return PpoParameters, learn_ppo


_PPO_SPACE: dict[str, Any] = {
    "learning_rate": (3e-4, 1e-2),
    "ent_coef": (1e-4, 3e-2),
    "rollout_length": [4, 8, 16, 32],
    "batch_size": [1024, 2048, 4096],
    "epochs": [2, 4, 8],
    "gamma": [0.7, 0.8, 0.9, 0.95, 0.98],
    "gae_lambda": [0.6, 0.8, 0.9, 0.95],
    "anneal": [False, True],
}

LEARNERS: dict[str, Learner] = {
    "maskable_ppo": Learner(
        "PPO under masks, with Lagrange multipliers for expected constraints", _ppo, {}, _PPO_SPACE
    ),
    "price_ppo": Learner(
        "PPO that is told a price of the budget, so that one network serves any budget",
        _ppo,
        {"highest_price": 2.0},
        _PPO_SPACE,
    ),
}


def learner_parameters(config: "TrainingConfig", **further: Any) -> Any:
    """Settings of the learner: its defaults, its preset, ``parameters`` and ``further``.

    With ``minutes`` and no number of steps given, the time alone ends the training.

    Raises
    ------
    InputError
        For a setting that the learner does not have, or a value out of range.
    """
    learner = LEARNERS[config.policy]
    kind, _ = learner.load()
    given = {**learner.preset, **(config.parameters or {}), **further}
    names = {field.name for field in dataclasses.fields(kind)}
    if config.minutes is not None and "total_steps" in names and "total_steps" not in given:
        given["total_steps"] = 10**15
    return build(kind, given, "parameters")
