"""MaskablePPO whose update uses the cores by halves of a batch rather than inside operations.

Networks of 64 units are too small for torch's own threads: on two cores a batch of 4,096 takes as
long with two threads as with one, and longer beside numba's (docs/environments.md has the
figures). Halves of a batch, each on a thread of its own, share nothing but the weights.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.utils import explained_variance

PARTS = 2  # fixed, so that the weights do not depend on how many cores there are


class _Batch(NamedTuple):
    observations: torch.Tensor
    actions: torch.Tensor
    masks: torch.Tensor
    log_probabilities: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor

    def rows(self, chosen: torch.Tensor) -> "_Batch":
        return _Batch(*(values[chosen] for values in self))


class OfferPpo(MaskablePPO):
    """sb3-contrib's MaskablePPO for one discrete action, ``MaskedActorCritic`` and a fast env.

    The update is the library's (Schulman et al. 2017, clipped surrogate, no clipping of values):
    same loss, same order of batches, gradients summed over ``PARTS`` parts of each batch. Episode
    statistics are not gathered from info dicts, which takes a Python step for every row.
    """

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: Any = None) -> None:
        """Nothing: ``OfferVecEnv`` reports its rewards as an array."""

    def train(self) -> None:
        """Update on the rollout buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        self._clip = float(self.clip_range(self._current_progress_remaining))  # type: ignore[operator]
        data = self._data()
        parameters = list(self.policy.parameters())
        told: list[torch.Tensor] = []
        rows = data.actions.shape[0]
        with ThreadPoolExecutor(PARTS) as pool:
            for _ in range(self.n_epochs):
                order = torch.randperm(rows)
                told = []
                for chosen in torch.split(order, self.batch_size or rows):
                    of_all = data.advantages[chosen]
                    centre, scale = of_all.mean(), of_all.std() + 1e-8

                    def gradients(
                        part: torch.Tensor,
                        share: float,
                        centre: torch.Tensor = centre,
                        scale: torch.Tensor = scale,
                    ) -> tuple[Any, torch.Tensor]:
                        loss, facts = self._loss(data.rows(part), centre, scale)
                        found = torch.autograd.grad(loss * share, parameters)
                        return found, facts * share

                    halves = chosen.chunk(PARTS)
                    shares = [len(half) / len(chosen) for half in halves]
                    found = list(pool.map(gradients, halves, shares))
                    for parameter, *summands in zip(
                        parameters, *(gradient for gradient, _ in found), strict=True
                    ):
                        parameter.grad = sum(summands[1:], summands[0])
                    torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
                    self.policy.optimizer.step()
                    told.append(sum((facts for _, facts in found[1:]), found[0][1]))
                self._n_updates += 1
        self._record(torch.stack(told).mean(dim=0))

    def _data(self) -> _Batch:
        buffer: Any = self.rollout_buffer
        names = ("observations", "actions", "action_masks", "log_probs", "advantages", "returns")
        flat = [torch.from_numpy(buffer.swap_and_flatten(getattr(buffer, name))) for name in names]
        observations, actions, masks, log_probs, advantages, returns = flat
        return _Batch(
            observations,
            actions.long().flatten(),
            masks.bool(),
            log_probs.flatten(),
            advantages.flatten(),
            returns.flatten(),
        )

    def _loss(
        self, batch: _Batch, centre: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss of some rows, and what is logged of it, shape (5,)."""
        values, log_probabilities, entropy = self.policy.evaluate_actions(
            batch.observations, batch.actions, batch.masks
        )
        advantages = (batch.advantages - centre) / scale
        log_ratio = log_probabilities - batch.log_probabilities
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - self._clip, 1.0 + self._clip)
        surrogate = -torch.min(advantages * ratio, advantages * clipped).mean()
        value_loss = (batch.returns - values.flatten()).square().mean()
        entropy_loss = -entropy.mean()  # type: ignore[union-attr]
        loss = surrogate + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            beyond = ((ratio - 1.0).abs() > self._clip).float().mean()
            divergence = (ratio - 1.0 - log_ratio).mean()
            facts = torch.stack([surrogate, value_loss, entropy_loss, divergence, beyond])
        return loss, facts

    def _record(self, facts: torch.Tensor) -> None:
        names = ("policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
        for name, value in zip(names, facts.tolist(), strict=True):
            self.logger.record(f"train/{name}", value)
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", float(explained))
