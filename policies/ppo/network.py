"""The networks of PPO, and the actor alone as a policy.

Features are scaled inside the network, so what is exported scales exactly as what was trained.
"""

from typing import Any

import gymnasium as gym
import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from envs.features import CENTRE, N_FEATURES, SCALE
from policies.network import scaled
from policies.ppo.price import UNIT

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
_FORBIDDEN = -1e8  # log odds of a masked action, as in sb3-contrib


class ScaledFeatures(BaseFeaturesExtractor):
    """Centre, scale and clip the features of ``envs.features.FEATURES``.

    A further column is a price of the budget, told on a log scale.
    """

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        assert observation_space.shape is not None
        super().__init__(observation_space, observation_space.shape[0])
        self.register_buffer("centre", torch.tensor(CENTRE))
        self.register_buffer("scale", torch.tensor(SCALE))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Scaled features, shape (n, N_FEATURES) or one column more."""
        features, price = observations[:, :N_FEATURES], observations[:, N_FEATURES:]
        known = scaled(features, self.get_buffer("centre"), self.get_buffer("scale"))
        return torch.cat([known, torch.log1p(price / UNIT) / 2.0 - 1.0], dim=1)


class MaskedActorCritic(MaskableActorCriticPolicy):
    """sb3-contrib's policy for one discrete action, with one log-softmax a batch.

    The library's distribution normalises the same logits four times a batch, which is a fifth of
    an update; probabilities, entropy and values here are equal (tests compare).
    """

    def forward(
        self,
        obs: Any,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Actions, shape (n,), values (n, 1) and log probabilities (n,)."""
        log_odds, values = self._log_probabilities(obs, action_masks)
        if deterministic:
            actions = log_odds.argmax(dim=1)
        else:
            actions = torch.multinomial(log_odds.exp(), 1).squeeze(1)
        return actions, values, log_odds.gather(1, actions[:, None]).squeeze(1)

    def evaluate_actions(
        self,
        obs: Any,
        actions: torch.Tensor,
        action_masks: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Values, shape (n, 1), log probabilities of the actions and entropies, shape (n,)."""
        log_odds, values = self._log_probabilities(obs, action_masks)
        chosen = log_odds.gather(1, actions[:, None]).squeeze(1)
        return values, chosen, -(log_odds.exp() * log_odds).sum(dim=1)

    def _log_probabilities(self, obs: Any, masks: Any) -> tuple[torch.Tensor, torch.Tensor]:
        actor, critic = self.mlp_extractor(self.features_extractor(obs))
        logits = self.action_net(actor)
        if masks is not None:
            allowed = torch.as_tensor(masks, dtype=torch.bool).reshape(logits.shape)
            logits = logits.masked_fill(~allowed, _FORBIDDEN)
        return torch.log_softmax(logits, dim=1), self.value_net(critic)


class ActionScores(nn.Module):
    """The actor alone: observation to log odds of every action against action 0."""

    def __init__(self, policy: MaskableActorCriticPolicy) -> None:
        super().__init__()
        self.features = policy.pi_features_extractor
        self.hidden = policy.mlp_extractor.policy_net
        self.head = policy.action_net

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Score, shape (n, n_actions); column 0 is 0."""
        logits = self.head(self.hidden(self.features(observation)))
        scores: torch.Tensor = logits - logits[:, :1]
        return scores
