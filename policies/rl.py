"""MaskablePPO on the native vector environment, and its network as a policy.

Features are scaled inside the network, so what is exported scales exactly as what was trained.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from envs.features import CENTRE, N_FEATURES, SCALE
from envs.sb3 import OfferVecEnv
from envs.task import OfferTask
from policies.base import DecisionContext

CLIP = 5.0
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def scaled(observation: torch.Tensor, centre: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Centred, scaled and clipped features: what every network computes first."""
    return ((observation - centre) / scale).clamp(-CLIP, CLIP)


class ScaledFeatures(BaseFeaturesExtractor):
    """Centre, scale and clip the features of ``envs.features.FEATURES``."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__(observation_space, N_FEATURES)
        self.register_buffer("centre", torch.tensor(CENTRE))
        self.register_buffer("scale", torch.tensor(SCALE))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Scaled features, shape (n, N_FEATURES)."""
        return scaled(observations, self.get_buffer("centre"), self.get_buffer("scale"))


@dataclass(frozen=True)
class PpoParameters:
    """Settings of MaskablePPO; large batches, because the environment is fast.

    ``activation`` is one of ``ACTIVATIONS``: a third of the time of an update with tanh is tanh.
    """

    total_steps: int = 1_000_000
    environments: int = 1024
    rollout_length: int = 8
    batch_size: int = 4096
    epochs: int = 4
    learning_rate: float = 3e-3
    ent_coef: float = 0.01
    gamma: float = 0.97
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    network: tuple[int, ...] = (64, 64)
    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}: choose one of {list(ACTIVATIONS)}")


@dataclass
class Training:
    """What a training run gives: the learned network and its history.

    ``history`` has one entry per update: steps, mean reward per customer-week (currency units,
    incremental where the task is paired), share of customer-weeks contacted.
    """

    model: MaskablePPO
    history: list[dict[str, float]] = field(default_factory=list)


class _History(BaseCallback):
    def __init__(self, history: list[dict[str, float]], tell: Callable[[int], None] | None) -> None:
        super().__init__()
        self.history = history
        self.tell = tell
        self.weeks: list[float] = []

    def _on_step(self) -> bool:
        # Not the buffer's rewards: those of truncated episodes hold what the future is worth.
        self.weeks.append(float(self.training_env.week_reward.mean()))  # type: ignore[attr-defined]
        return True

    def _on_rollout_end(self) -> None:
        buffer = self.model.rollout_buffer  # type: ignore[attr-defined]
        self.history.append(
            {
                "steps": float(self.num_timesteps),
                "reward_per_week": float(np.mean(self.weeks)),
                "contact_share": float((buffer.actions > 0).mean()),
            }
        )
        self.weeks = []
        if self.tell is not None:
            self.tell(self.num_timesteps)


def train_maskable_ppo(
    task: OfferTask,
    parameters: PpoParameters,
    seed: int,
    tell: Callable[[int], None] | None = None,
) -> Training:
    """Train on the task; the same seed gives the same network on the same machine.

    Parameters
    ----------
    task
        Worlds, pool and constraints; ``paired`` is advised.
    parameters
        Settings.
    seed
        Of network, environment and sampling.
    tell
        Called with the number of steps done after each rollout.
    """
    env = OfferVecEnv(parameters.environments, task)
    env.seed(seed)
    model = MaskablePPO(
        "MlpPolicy",
        env,
        learning_rate=parameters.learning_rate,
        n_steps=parameters.rollout_length,
        batch_size=parameters.batch_size,
        n_epochs=parameters.epochs,
        gamma=parameters.gamma,
        gae_lambda=parameters.gae_lambda,
        clip_range=parameters.clip_range,
        ent_coef=parameters.ent_coef,
        policy_kwargs={
            "features_extractor_class": ScaledFeatures,
            "net_arch": list(parameters.network),
            "activation_fn": ACTIVATIONS[parameters.activation],
            "optimizer_kwargs": {"eps": 1e-5, "fused": True},  # SB3's own eps, in one pass
        },
        seed=seed,
        device="cpu",
    )

    def terminal_value(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            value = model.policy.predict_values(torch.from_numpy(observation))
        discounted: NDArray[np.float32] = value.numpy().reshape(-1) * np.float32(parameters.gamma)
        return discounted

    env.terminal_value = terminal_value
    training = Training(model)
    with _unchecked_distributions():
        model.learn(parameters.total_steps, callback=_History(training.history, tell))
    return training


@contextmanager
def _unchecked_distributions() -> Iterator[None]:
    """No checks of each batch's probabilities by torch, which take a tenth of an update."""
    distribution = torch.distributions.Distribution
    before = distribution._validate_args
    distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        distribution.set_default_validate_args(before)


class ActionScores(nn.Module):
    """The actor alone: observation to log odds of every action against action 0."""

    def __init__(self, model: MaskablePPO) -> None:
        super().__init__()
        self.features = model.policy.pi_features_extractor
        self.hidden = model.policy.mlp_extractor.policy_net
        self.head = model.policy.action_net

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Score, shape (n, n_actions); column 0 is 0."""
        logits = self.head(self.hidden(self.features(observation)))
        scores: torch.Tensor = logits - logits[:, :1]
        return scores


class TorchPolicy:
    """A torch module as a policy."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name
        self.module = module.eval()

    def propose(
        self,
        observation: NDArray[np.float32],
        mask: NDArray[np.bool_],
        context: DecisionContext,
    ) -> NDArray[np.float64]:
        """Scores of the module, unmasked: the constraints bind later."""
        with torch.no_grad():
            score = self.module(torch.from_numpy(observation)).numpy().astype(np.float64)
        result: NDArray[np.float64] = score
        return result
