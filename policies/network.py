"""What every network has in common: scaled features, and a torch module as a policy."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from policies.base import CLIP, DecisionContext


def scaled(observation: torch.Tensor, centre: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Centred, scaled and clipped features: what every network computes first."""
    return ((observation - centre) / scale).clamp(-CLIP, CLIP)


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


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Operations of torch on one thread each, while small networks are trained."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
