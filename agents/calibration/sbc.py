"""Simulation-based calibration: does inference give the posterior that the model implies?

Parameters are drawn from the prior, data from the model under them, and the posterior of these
data is sampled. If all is right, the rank of the true value among L independent posterior draws
is uniform on 0..L, whatever the prior and the data [1]_. A wrong likelihood, prior, Jacobian or
sampler bends the ranks. Data here follow each model's own story, with continuous times.

References
----------
.. [1] Talts, Betancourt, Simpson, Vehtari and Gelman (2018). Validating Bayesian inference
   algorithms with simulation-based calibration. arXiv:1804.06788.
.. [2] Saeilynoja, Buerkner and Vehtari (2022). Graphical test for discrete uniformity and its
   applications in goodness-of-fit evaluation and multiple sample comparison. Statistics and
   Computing 32, 32.
.. [3] Modrak, Moon, Kim, Buerkner, Huurre, Faltejskova, Gelman and Vehtari (2025). Simulation-based
   calibration checking for Bayesian computation: the choice of test quantities shapes
   sensitivity. Bayesian Analysis 20(2), 461-488.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from agents.calibration.customer_histories import CustomerHistories
from agents.calibration.laplace import Compiled, Floats, Mode, around, compile_density, find_mode
from agents.calibration.models import Prior
from agents.calibration.nuts import sample
from agents.calibration.sufficient import PurchaseHistories

if TYPE_CHECKING:
    import pymc as pm

Integers = npt.NDArray[np.int64]
Values = Mapping[str, Any]
Data = TypeVar("Data")

LEVEL = 0.01
"""False alarms of `Uniformity.uniform` per test."""
DRAWS = 99
TUNE, THIN = 100, 2
NULL_SAMPLES = 20_000

_INVERSE: dict[str, Callable[[Any], Any]] = {
    "linear": lambda value: value,
    "log": np.exp,
    "atanh": np.tanh,
}


@dataclass(frozen=True)
class Ranks:
    """Ranks of true values among posterior draws.

    Attributes
    ----------
    draws : int
        Posterior draws of each replication, L; ranks lie in 0..L.
    ranks : dict of int64, shape (replications,)
        Draws below the true value, by test quantity.
    divergences : int
        Divergent transitions in all replications; 0 for `map`.
    """

    draws: int
    ranks: dict[str, Integers]
    divergences: int

    def verdicts(self, level: float = LEVEL, seed: int = 0) -> dict[str, Uniformity]:
        """Uniformity of each quantity's ranks, at a joint level split between them."""
        share = level / len(self.ranks)
        return {
            name: uniformity(ranks, self.draws, share, seed) for name, ranks in self.ranks.items()
        }


@dataclass(frozen=True)
class Uniformity:
    """Are ranks uniform on 0..L? A simultaneous band around the ECDF [2]_.

    Attributes
    ----------
    p_value : float
        Chance that uniform ranks leave binomial bands as far somewhere.
    level : float
        Chance that uniform ranks are called otherwise.
    low, high : float64, shape (L,)
        Band of the share of ranks at or below 0..L-1.
    ecdf : float64, shape (L,)
        That share.
    """

    p_value: float
    level: float
    low: Floats
    high: Floats
    ecdf: Floats

    @property
    def uniform(self) -> bool:
        """Is the ECDF inside its band everywhere?"""
        return bool(((self.ecdf >= self.low) & (self.ecdf <= self.high)).all())


def uniformity(ranks: Integers, draws: int, level: float = LEVEL, seed: int = 0) -> Uniformity:
    """Test of ranks against the uniform distribution on 0..draws.

    The number of ranks at or below a value is binomial. The band has one pointwise tail
    probability everywhere, such that uniform ranks leave it somewhere with chance `level` [2]_;
    that chance is found by simulation.

    Parameters
    ----------
    ranks : int64, shape (replications,)
        In 0..draws.
    draws : int
        Posterior draws, L.
    level : float
        Chance of a false alarm; at least 1/2,000, as 20,000 uniform samples are simulated.

    Raises
    ------
    ValueError
        If there are no ranks, one is out of range, or the level is.
    """
    ranks = np.asarray(ranks, np.int64)
    if not ranks.size or ranks.min() < 0 or ranks.max() > draws:
        raise ValueError(f"ranks must be some and lie in 0..{draws}")
    if not 10 / NULL_SAMPLES <= level < 1:
        raise ValueError(f"level is {level}; allowed: {10 / NULL_SAMPLES} to 1")
    n = len(ranks)
    tail, null = _null(n, draws, seed)
    below = np.bincount(ranks, minlength=draws + 1).cumsum()[:-1]
    observed = float(tail[below, np.arange(draws)].min())
    # Least tails are discrete: strictly below the bound happens with chance `level` at most.
    bound = null[int(level * NULL_SAMPLES)]
    inside = tail >= bound
    return Uniformity(
        (1 + int((null <= observed).sum())) / (1 + NULL_SAMPLES),
        level,
        inside.argmax(axis=0) / n,
        (n - inside[::-1].argmax(axis=0)) / n,
        below / n,
    )


@lru_cache(maxsize=8)
def _null(n: int, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Pointwise tail probabilities, shape (n + 1, draws), and least ones of uniform ranks, sorted.

    The first is that of each number of ranks at or below each value, the smaller of both sides.
    """
    from scipy.stats import binom

    share = np.arange(1, draws + 1) / (draws + 1)
    counts = np.arange(n + 1)[:, None]
    tail = np.minimum(binom.cdf(counts, n, share), binom.sf(counts - 1, n, share))
    rng = np.random.default_rng(seed)
    least = np.empty(NULL_SAMPLES)
    for at in range(NULL_SAMPLES):
        ranks = rng.integers(0, draws + 1, n)
        below = np.bincount(ranks, minlength=draws + 1).cumsum()[:-1]
        least[at] = tail[below, np.arange(draws)].min()
    return tail, np.sort(least)


def draw_prior(priors: Mapping[str, Prior], rng: np.random.Generator) -> dict[str, float]:
    """One value of each parameter.

    Raises
    ------
    ValueError
        If a prior is flat.
    """
    for name, prior in priors.items():
        if not np.isfinite(prior.sd):
            raise ValueError(f"prior of {name} is flat; allowed: one that can be drawn from")
    return {
        name: float(_INVERSE[prior.scale](rng.normal(prior.centre, prior.sd)))
        for name, prior in priors.items()
    }


def rank_statistics(
    build: Callable[[Data], pm.Model],
    simulate: Callable[[Mapping[str, float], np.random.Generator], Data],
    priors: Mapping[str, Prior],
    *,
    replications: int,
    inference: Literal["map", "nuts"] = "nuts",
    draws: int = DRAWS,
    thin: int = THIN,
    derived: Callable[[Values], dict[str, Any]] | None = None,
    seed: int = 0,
    tell: Callable[[int], None] | None = None,
) -> Ranks:
    """Ranks of true values among posterior draws, over data simulated from the prior.

    Parameters
    ----------
    build : callable
        Data -> the model under test; its priors must be `priors`, of all its parameters.
    simulate : callable
        Parameters and generator -> data, exactly by the model's story.
    priors : mapping of Prior
        Prior of each parameter.
    replications : int
        Data sets.
    inference : {"nuts", "map"}
        `map`: independent draws of the normal approximation at the mode.
    draws : int
        Posterior draws ranked among, L.
    thin : int
        NUTS draws for one that is kept: ranks are uniform for independent draws only.
    derived : callable, optional
        Further test quantities [3]_: parameters (numbers or arrays of one shape) -> quantities.
    seed : int
        Seed of all.
    tell : callable, optional
        Receives the number of replications done.

    Raises
    ------
    ValueError
        If the model's priors are others.
    InputError
        If a data set does not identify the model: leaving it out would bend the ranks.
    """
    found: dict[str, list[int]] = {}
    divergences = 0
    for at, stream in enumerate(np.random.SeedSequence(seed).spawn(replications)):
        rng = np.random.default_rng(stream)
        true: dict[str, Any] = dict(draw_prior(priors, rng))
        model = build(simulate(true, rng))
        if model.priors != dict(priors):
            raise ValueError(f"the model's priors are {model.priors}; allowed: {dict(priors)}")
        density = compile_density(model)
        mode = find_mode(density, f"replication {at}")
        points, diverged = _draws(density, mode, inference, draws, thin, rng)
        divergences += diverged
        posterior: dict[str, Any] = density.parameters(points)
        if derived is not None:
            true |= derived(true)
            posterior |= derived(posterior)
        for name, value in true.items():
            found.setdefault(name, []).append(int((posterior[name] < value).sum()))
        if tell is not None:
            tell(at + 1)
    return Ranks(draws, {name: np.array(ranks) for name, ranks in found.items()}, divergences)


def _draws(
    density: Compiled,
    mode: Mode,
    inference: str,
    draws: int,
    thin: int,
    rng: np.random.Generator,
) -> tuple[Floats, int]:
    """Points of the free variables, shape (draws, p), and divergent transitions."""
    if inference == "map":
        return around(mode, draws, rng), 0
    seed = int(rng.integers(2**31))
    chain, diagnostics = sample(density, mode, draws=draws * thin, tune=TUNE, chains=1, seed=seed)
    return chain[0, thin - 1 :: thin], diagnostics.divergences


def pareto_nbd_data(
    values: Mapping[str, float], age: Floats, rng: np.random.Generator
) -> PurchaseHistories:
    """Histories by Pareto/NBD's own story, in continuous time.

    Purchases are Poisson while the customer lives, its life exponential; both rates are gamma.

    Parameters
    ----------
    values : mapping
        rate_shape, rate_rate, dropout_shape, dropout_rate; per week.
    age : float64, shape (n,)
        Observed weeks of each customer.
    """
    n = len(age)
    rate = rng.gamma(values["rate_shape"], 1 / values["rate_rate"], n)
    hazard = rng.gamma(values["dropout_shape"], 1 / values["dropout_rate"], n)
    return PurchaseHistories(*_histories(rate, hazard, age, rng), age, np.ones(n, np.int64))


def gamma_gamma_data(
    values: Mapping[str, float], frequency: Integers, rng: np.random.Generator
) -> tuple[Integers, Floats]:
    """Frequency and mean spend by Gamma-Gamma's own story, amounts not rounded.

    Parameters
    ----------
    values : mapping
        spend_within_shape, spend_shape, spend_scale.
    frequency : int64, shape (n,)
        Baskets of each customer, at least 1.
    """
    scale = rng.gamma(values["spend_shape"], 1 / values["spend_scale"], len(frequency))
    total = rng.gamma(values["spend_within_shape"] * frequency) / scale
    return frequency, total / frequency


def lognormal_data(
    values: Mapping[str, float], age: Floats, rng: np.random.Generator
) -> CustomerHistories:
    """Purchases and baskets by the correlated hierarchy's own story, in continuous time.

    The purchase that starts the clock has a basket, too; amounts are not rounded.

    Parameters
    ----------
    values : mapping
        Parameters of `models.lognormal`.
    age : float64, shape (n,)
        Observed weeks of each customer.
    """
    n = len(age)
    across, by_rate = values["rate_dropout_correlation"], values["rate_spend_correlation"]
    partial = values["dropout_spend_partial_correlation"]
    by_hazard = across * by_rate + partial * np.sqrt((1 - across**2) * (1 - by_rate**2))
    correlation = np.array(
        [[1.0, across, by_rate], [across, 1.0, by_hazard], [by_rate, by_hazard, 1.0]]
    )
    score = rng.standard_normal((n, 3)) @ np.linalg.cholesky(correlation).T
    log_rate, log_hazard, log_mean = (
        values[f"{trait}_log_mean"] + values[f"{trait}_log_sd"] * score[:, at]
        for at, trait in enumerate(("rate", "dropout", "spend"))
    )
    frequency, recency = _histories(np.exp(log_rate), np.exp(log_hazard), age, rng)
    baskets = frequency + 1
    sd = values["spend_within_log_sd"]
    customer = np.repeat(np.arange(n), baskets)
    amount = rng.normal(log_mean[customer] - sd**2 / 2, sd)
    mean = np.bincount(customer, weights=amount) / baskets
    squares = np.bincount(customer, weights=(amount - mean[customer]) ** 2).astype(np.float64)
    return CustomerHistories(frequency, recency, age, baskets, mean, squares, np.zeros((n, 0)))


def _histories(
    rate: Floats, hazard: Floats, age: Floats, rng: np.random.Generator
) -> tuple[Integers, Floats]:
    """Purchases and time of the last one; shape (n,)."""
    with np.errstate(divide="ignore"):
        active = np.minimum(rng.standard_exponential(len(age)) / hazard, age)
    frequency = rng.poisson(rate * active)
    # The latest of n uniform times.
    last = active * rng.random(len(age)) ** (1 / np.maximum(frequency, 1))
    return frequency, np.where(frequency > 0, last, 0.0)
