"""Training of MaskablePPO: settings, iterations, checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from agents.ranges import check_range
from envs.features import N_FEATURES
from envs.sb3 import OfferVecEnv
from envs.task import OfferTask
from policies.network import TorchPolicy, one_torch_thread
from policies.ppo.charges import ChargedOffers
from policies.ppo.lagrange import MultiplierParameters
from policies.ppo.learner import OfferPpo
from policies.ppo.network import ACTIVATIONS, ActionScores, MaskedActorCritic, ScaledFeatures
from policies.ppo.price import PricedPolicy
from policies.training_run import TrainingRun

_CHECKS = {
    "total_steps": (1, 10**15), "environments": (1, 10**7), "rollout_length": (1, 10**5),
    "batch_size": (2, 10**9), "epochs": (1, 1000), "learning_rate": (1e-9, 1.0),
    "ent_coef": (0.0, 10.0), "gamma": (0.0, 1.0), "gae_lambda": (0.0, 1.0),
    "clip_range": (1e-3, 1.0), "highest_price": (0.0, 1e6),
}  # fmt: skip


@dataclass(frozen=True)
class PpoParameters:
    """Settings of MaskablePPO; large batches, because the environment is fast.

    Parameters
    ----------
    total_steps
        Customer-weeks of training, unless the run's time is over before.
    environments, rollout_length
        Customers side by side, and weeks between two updates.
    batch_size, epochs, learning_rate, ent_coef, gamma, gae_lambda, clip_range
        As in PPO (Schulman et al. 2017).
    anneal
        Lets the learning rate fall to 0 over the training, by steps or by time.
    network, activation
        Widths of the hidden layers; one of ``ACTIVATIONS``: a third of the time of an update
        with tanh is tanh.
    multipliers
        Of the task's expected constraints.
    highest_price
        Above 0 the network is conditioned on a price of the budget up to this, in currency units
        per currency unit of commitment (``policies.ppo.price``).
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
    anneal: bool = False
    network: tuple[int, ...] = (64, 64)
    activation: str = "relu"
    multipliers: MultiplierParameters = field(default_factory=MultiplierParameters)
    highest_price: float = 0.0

    def __post_init__(self) -> None:
        for name, (least, most) in _CHECKS.items():
            check_range(name, getattr(self, name), least, most)
        if not self.network or not all(1 <= width <= 4096 for width in self.network):
            raise ValueError(f"network={self.network} must be one or more widths of 1 to 4096")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r}: choose one of {list(ACTIVATIONS)}")


def learn_ppo(
    task: OfferTask, parameters: PpoParameters, seed: int, run: TrainingRun
) -> TorchPolicy:
    """Train until ``total_steps`` are done or ``run.over``.

    The same seed gives the same network on the same machine, also where a training was cut off
    and taken up again: the checkpoint holds weights, optimizer, random states, the running
    episodes of the environment, steps and multipliers.

    Parameters
    ----------
    task
        Worlds, pool and constraints; ``paired`` is advised. Expected constraints among the
        limits get multipliers.
    parameters
        Settings.
    seed
        Of network, environment and sampling.
    run
        Clock, log and checkpoint. A row of the log: ``reward_per_week``, mean reward per
        customer-week before charges (currency units, incremental where the task is paired);
        ``contact_share``; λ and violation of each expected constraint; facts of the update.

    Returns
    -------
    TorchPolicy
        ``maskable_ppo``, or ``price_ppo`` (a ``PricedPolicy``) where ``highest_price`` is above 0.
    """
    offers = ChargedOffers(
        parameters.environments, task, parameters.multipliers, parameters.highest_price
    )
    env = OfferVecEnv(parameters.environments, task, offers)
    env.seed(seed)
    model = _model(env, parameters, seed)

    def terminal_value(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            value = model.policy.predict_values(torch.from_numpy(observation))
        discounted: NDArray[np.float32] = value.numpy().reshape(-1) * np.float32(parameters.gamma)
        return discounted

    env.terminal_value = terminal_value
    earned = _Earned(offers)
    with one_torch_thread():
        _, callback = model._setup_learn(parameters.total_steps, earned)
        kept = run.load()
        if kept is not None:
            _restore(model, offers, kept)
        while model.num_timesteps < parameters.total_steps and not run.over:
            model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps)
            done = run.progress(model.num_timesteps / parameters.total_steps)
            model._current_progress_remaining = 1.0 - done
            contacted = float((model.rollout_buffer.actions > 0).mean())
            model.train()
            multipliers = offers.update_multipliers()
            facts = {k: float(v) for k, v in model.logger.name_to_value.items()}
            run.log(
                model.num_timesteps,
                reward_per_week=earned.mean(),
                contact_share=contacted,
                **multipliers,
                **facts,
            )
            run.save(_state(model, offers))
    return _policy(model, offers, parameters)


def _model(env: OfferVecEnv, parameters: PpoParameters, seed: int) -> OfferPpo:
    rate = parameters.learning_rate
    return OfferPpo(
        MaskedActorCritic,
        env,
        learning_rate=(lambda remaining: rate * remaining) if parameters.anneal else rate,
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


class _Earned(BaseCallback):
    """Rewards before charges. The buffer's hold what the future of truncated episodes is worth."""

    def __init__(self, offers: ChargedOffers) -> None:
        super().__init__()
        self.offers = offers
        self.weeks: list[float] = []

    def _on_step(self) -> bool:
        self.weeks.append(float(self.offers.earned.mean()))
        return True

    def mean(self) -> float:
        """Mean of the weeks since the last call."""
        mean = float(np.mean(self.weeks))
        self.weeks = []
        return mean


def _state(model: OfferPpo, offers: ChargedOffers) -> dict[str, Any]:
    return {
        "weights": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "steps": model.num_timesteps,
        "updates": model._n_updates,
        "observation": model._last_obs,
        "starts": model._last_episode_starts,
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - what SB3 draws from
        "environment": offers.state(),
    }


def _restore(model: OfferPpo, offers: ChargedOffers, state: Mapping[str, Any]) -> None:
    model.policy.load_state_dict(state["weights"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    model.num_timesteps, model._n_updates = state["steps"], state["updates"]
    model._last_obs, model._last_episode_starts = state["observation"], state["starts"]
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    offers.restore(state["environment"])


def _policy(model: OfferPpo, offers: ChargedOffers, parameters: PpoParameters) -> TorchPolicy:
    scores = ActionScores(model.policy)
    if parameters.highest_price <= 0:
        return TorchPolicy("maskable_ppo", scores)
    weekly = offers.task.constraints.offer_budget.weekly_per_customer
    policy = PricedPolicy("price_ppo", scores, weekly, parameters.highest_price)
    # What an export holds until a batch is decided: the price of training's customers.
    seen = np.asarray(model._last_obs)[:, :N_FEATURES].astype(np.float32)
    policy.set_price(seen, offers.action_masks(), offers.table.commitment)
    return policy
