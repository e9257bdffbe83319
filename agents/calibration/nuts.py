"""Draws from a model's posterior by NUTS, and whether they can be trusted."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.calibration.laplace import Compiled, Floats, Mode
from agents.calibration.likelihood import available_cores

CHAINS = 4
TUNE = 400
DRAWS = 1000
TARGET_ACCEPTANCE = 0.8
SPREAD = 1.5
MOST_R_HAT = 1.01
FEWEST_EFFECTIVE = 400
MOST_DIVERGENT = 0.001
MOST_PARETO_K = 0.7


@dataclass(frozen=True)
class Diagnostics:
    """How far draws can be trusted [1]_ [2]_.

    Attributes
    ----------
    r_hat : float
        Highest rank-normalised split R-hat of any parameter, at most 1.01; NaN for MAP and for
        one chain.
    effective_bulk, effective_tail : float
        Least effective sample size of any parameter, at least 400; NaN for MAP.
    divergences : int
        Divergent transitions after tuning, at most one in a thousand.
    pareto_k : float
        Shape of the importance ratios' tail between posterior and normal approximation, at most
        .7; NaN for NUTS and where it was not looked at.
    seconds : float
        Wall time of sampling, tuning included.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021). Rank-normalization, folding,
       and localization: an improved R-hat. Bayesian Analysis 16(2), 667-718.
    .. [2] Vehtari, Simpson, Gelman, Yao and Gabry (2024). Pareto smoothed importance sampling.
       Journal of Machine Learning Research 25(72), 1-58.
    """

    r_hat: float = np.nan
    effective_bulk: float = np.nan
    effective_tail: float = np.nan
    divergences: int = 0
    pareto_k: float = np.nan
    draws: int = 0
    chains: int = 1
    seconds: float = np.nan

    def failures(self) -> list[str]:
        """What is beyond its bound, one phrase each; empty if the draws can be trusted."""
        found = []
        sampled = self.chains > 1
        if self.r_hat > MOST_R_HAT or (sampled and np.isnan(self.r_hat)):
            found.append(f"R-hat is {self.r_hat:.3f}, allowed: at most {MOST_R_HAT}")
        for name, value in (("bulk", self.effective_bulk), ("tail", self.effective_tail)):
            if value < FEWEST_EFFECTIVE or (sampled and np.isnan(value)):
                found.append(
                    f"effective sample size ({name}) is {value:.0f}, "
                    f"allowed: at least {FEWEST_EFFECTIVE}"
                )
        if self.divergences > MOST_DIVERGENT * self.draws:
            found.append(
                f"{self.divergences} of {self.draws} transitions diverged, "
                f"allowed: at most {MOST_DIVERGENT:.1%}"
            )
        if self.pareto_k > MOST_PARETO_K:
            found.append(
                "the posterior is not close to normal around its mode: "
                f"Pareto k is {self.pareto_k:.2f}, allowed: at most {MOST_PARETO_K}"
            )
        return found


def sample(
    density: Compiled,
    mode: Mode,
    *,
    draws: int = DRAWS,
    tune: int = TUNE,
    chains: int = CHAINS,
    seed: int = 0,
    tell: Callable[[int, int], None] | None = None,
) -> tuple[Floats, Diagnostics]:
    """NUTS [1]_ in coordinates in which the normal approximation at the mode is standard.

    There the posterior of a handful of well-identified parameters is nearly round, so little is
    left to tune. Chains start from 1.5 times the approximation's spread.

    Parameters
    ----------
    density, mode
        Model and its mode (`laplace.find_mode`).
    draws, tune, chains : int
        Draws kept of each chain, draws before them to tune its step, and chains.
    seed : int
        Equal seeds give equal draws.
    tell : callable, optional
        Receives draws made and draws in all, tuning included.

    Returns
    -------
    points : float64, shape (chains, draws, p)
        On the scale of the model's free variables.
    diagnostics : Diagnostics

    References
    ----------
    .. [1] Hoffman and Gelman (2014). The No-U-Turn sampler. Journal of Machine Learning Research
       15(47), 1593-1623. Sampler: nutpie.
    """
    import time

    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    factor = np.linalg.cholesky(mode.covariance)
    count = len(mode.point)

    def log_density() -> Callable[[Floats], tuple[float, Floats]]:
        evaluate = density.fork()

        def whitened(z: Floats) -> tuple[float, Floats]:
            value, _, gradient = evaluate(mode.point + factor @ z)
            if not np.isfinite(value) or not np.isfinite(gradient).all():
                return -np.inf, np.zeros(count)  # a trajectory beyond the numbers: it diverges
            return value, np.ascontiguousarray(factor.T @ gradient)

        return whitened

    total = chains * (tune + draws)
    made = itertools.count(1)

    def keep(z: Floats) -> dict[str, Floats]:
        at = next(made)
        if tell is not None:
            tell(at, total)
        return {"z": np.asarray(z, np.float64)}

    compiled = from_pyfunc(
        count,
        log_density,
        lambda seed1, seed2, chain: keep,
        [np.dtype("float64")],
        [(count,)],
        ["z"],
        make_initial_point_fn=lambda start: (
            SPREAD * np.random.default_rng(start).standard_normal(count)
        ),
    )
    begun = time.perf_counter()
    sampler = nutpie.sample(
        compiled, draws=draws, tune=tune, chains=chains, seed=seed, progress_bar=False,
        save_warmup=False, cores=available_cores(), target_accept=TARGET_ACCEPTANCE, blocking=False,
    )  # fmt: skip
    trace = sampler.wait()
    if tell is not None:
        tell(total, total)
    seconds = time.perf_counter() - begun
    z = np.asarray(trace.posterior["z"])
    points = mode.point + z @ factor.T
    return points, diagnose(points, int(trace.sample_stats["diverging"].sum()), seconds)


def diagnose(points: Floats, divergences: int, seconds: float) -> Diagnostics:
    """R-hat and effective sample sizes of draws, shape (chains, draws, p)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    rhat: Any = arviz.rhat
    ess: Any = arviz.ess
    columns = [points[:, :, at] for at in range(points.shape[2])]
    return Diagnostics(
        max(float(rhat(column)) for column in columns) if len(points) > 1 else np.nan,
        min(float(ess(column, method="bulk")) for column in columns),
        min(float(ess(column, method="tail")) for column in columns),
        divergences,
        np.nan,
        points.shape[0] * points.shape[1],
        points.shape[0],
        seconds,
    )


def diagnose_normal(density: Compiled, mode: Mode, points: Floats) -> Diagnostics:
    """Pareto k of draws from the normal approximation, shape (draws, p)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    away = np.linalg.solve(np.linalg.cholesky(mode.covariance), (points - mode.point).T)
    ratio = np.array([density.evaluate(point)[0] for point in points]) + (away**2).sum(axis=0) / 2
    smoothed: Any = arviz.psislw
    _, k = smoothed(ratio)
    return Diagnostics(pareto_k=float(k), draws=len(points))
