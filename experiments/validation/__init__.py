"""What ``loyaltylab validate`` measures: one module a source of truth."""

import numpy as np

from agents.calibration.posterior import Posterior


def mode_and_interval(posterior: Posterior, name: str) -> dict[str, float]:
    """A fitted parameter: its mode and the middle 95 % of its draws."""
    values = posterior.parameters[name]
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return {"mode": float(values[0]), "low": float(low), "high": float(high)}
