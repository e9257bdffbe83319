"""Settings of learners from a configuration, and where Optuna looks for better ones."""

from typing import TYPE_CHECKING, Any

from experiments.config_builder import build
from policies.catalogue import entry

if TYPE_CHECKING:
    from experiments.config_schema import TrainingConfig

_PPO: dict[str, Any] = {
    "learning_rate": (3e-4, 1e-2),
    "ent_coef": (1e-4, 3e-2),
    "rollout_length": [4, 8, 16, 32],
    "batch_size": [1024, 2048, 4096],
    "epochs": [2, 4, 8],
    "gamma": [0.7, 0.8, 0.9, 0.95, 0.98],
    "gae_lambda": [0.6, 0.8, 0.9, 0.95],
    "anneal": [False, True],
}
# What is searched: name to (low, high), even on a log scale, or to a list of choices.
SPACES: dict[str, dict[str, Any]] = {
    "maskable_ppo": _PPO,
    "price_ppo": _PPO,
    "lin_ucb": {"exploration": (0.1, 10.0), "prior": (0.01, 100.0), "window": [1, 2, 4, 8]},
    "lin_ts": {"exploration": (0.1, 10.0), "prior": (0.01, 100.0), "window": [1, 2, 4, 8]},
    "rollout": {
        "learning_rate": (3e-4, 1e-2),
        "hidden": [16, 32, 64],
        "weeks": [8, 13, 26],
        "replicas": [2, 4, 8],
    },
}


def learner_parameters(config: "TrainingConfig", **further: Any) -> Any:
    """Settings of the learner: its defaults, those of the catalogue, ``parameters``, ``further``.

    With ``minutes`` and no number of steps or iterations given, time alone ends the training.

    Raises
    ------
    InputError
        For a setting that the learner does not have, or a value out of range.
    """
    one = entry(config.policy)
    ends = {} if config.minutes is None else one.endless()
    given = {**one.settings, **ends, **(config.parameters or {}), **further}
    return build(one.kind(), given, "parameters")
