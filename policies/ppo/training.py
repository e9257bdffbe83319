"""Training of MaskablePPO: settings, history, seeds."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from envs.sb3 import OfferVecEnv
from envs.task import OfferTask
from policies.ppo.learner import OfferPpo, one_torch_thread
from policies.ppo.network import ACTIVATIONS, MaskedActorCritic, ScaledFeatures


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

    model: OfferPpo
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
    model = OfferPpo(
        MaskedActorCritic,
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
    with one_torch_thread():
        model.learn(parameters.total_steps, callback=_History(training.history, tell))
    return training
