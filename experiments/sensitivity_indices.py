"""Designs and indices: Morris screening, Latin hypercube, Sobol variance, by SALib.

Designs live in the unit cube, one column an assumption; ``Assumption.at`` gives the values. Effects
are in the KPI's unit, for a way over the whole range.

References
----------
Campolongo, Cariboni & Saltelli 2007, https://doi.org/10.1016/j.envsoft.2006.10.004 (mu*);
Saltelli et al. 2010, https://doi.org/10.1016/j.cpc.2009.09.018 (S1, ST).
"""

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 1000
# A mu* is above noise where it exceeds so many standard errors of an elementary effect.
STANDARD_ERRORS = 2.0


class Screening(NamedTuple):
    """What Morris's method says of each assumption; arrays of shape (assumptions,).

    Attributes
    ----------
    mu, mu_star, sigma
        Mean of the elementary effects, of their size, and their standard deviation.
    mu_star_conf
        Half width of the bootstrap interval of mu*, over trajectories.
    noise
        What luck may make of an elementary effect: two standard errors, from the spread of the
        same effect between cohorts.
    """

    mu: Array
    mu_star: Array
    sigma: Array
    mu_star_conf: Array
    noise: Array


class Shares(NamedTuple):
    """Sobol indices of each assumption that was varied; arrays of shape (assumptions,).

    ``first`` and ``total`` are S1 and ST; ``*_conf`` half widths of their bootstrap intervals.
    """

    first: Array
    first_conf: Array
    total: Array
    total_conf: Array


def seed_of(seed: int, stage: str) -> int:
    """Seed of a design, 1 to 2³² - 1, from the run's seed; SALib takes 0 for none."""
    digest = hashlib.sha256(f"{seed}:sensitivity:{stage}".encode()).digest()
    return int.from_bytes(digest[:4], "big") | 1


def trajectories(names: Sequence[str], n: int, levels: int, seed: int) -> Array:
    """Morris's design, shape (n × (assumptions + 1), assumptions)."""
    from SALib.sample import morris

    return np.asarray(morris.sample(_problem(names), n, num_levels=levels, seed=seed))


def hypercube(names: Sequence[str], n: int, seed: int) -> Array:
    """Latin hypercube, shape (n, assumptions)."""
    from SALib.sample import latin

    return np.asarray(latin.sample(_problem(names), n, seed=seed))


def saltelli(names: Sequence[str], n: int, seed: int) -> Array:
    """Saltelli's design on a scrambled Sobol sequence, shape (n × (assumptions + 2), …)."""
    from SALib.sample import sobol

    design = sobol.sample(_problem(names), n, calc_second_order=False, seed=seed)
    return np.asarray(design)


def elementary_effects(design: Array, y: Array) -> Array:
    """Effect of each step of Morris's trajectories, per width of the whole range.

    Parameters
    ----------
    design
        ``trajectories``.
    y
        KPI, shape (…, rows of the design).

    Returns
    -------
    NDArray
        Shape (…, trajectories, assumptions).
    """
    k = design.shape[1]
    paths = design.reshape(-1, k + 1, k)
    steps = np.diff(paths, axis=1)
    column = np.abs(steps).argmax(axis=2)
    size = np.take_along_axis(steps, column[..., None], axis=2)[..., 0]
    effects = np.diff(y.reshape(*y.shape[:-1], -1, k + 1), axis=-1) / size
    ordered = np.empty_like(effects)
    np.put_along_axis(ordered, np.broadcast_to(column, effects.shape), effects, axis=-1)
    return ordered


def screen(
    names: Sequence[str], design: Array, y: Array, levels: int, confidence: float, seed: int
) -> Screening | None:
    """Morris's indices of a KPI; None where it has no value somewhere.

    Parameters
    ----------
    design
        ``trajectories``.
    y
        KPI on each cohort, shape (rows of the design, cohorts).
    """
    from SALib.analyze import morris

    if not np.isfinite(y).all():
        return None
    with _quiet():
        found = morris.analyze(
            _problem(names),
            design,
            y.mean(axis=1),
            num_resamples=RESAMPLES,
            conf_level=confidence,
            num_levels=levels,
            seed=seed,
        )
    effects = elementary_effects(design, y.T)
    variance = effects.var(axis=0, ddof=1).mean(axis=0)
    noise = STANDARD_ERRORS * np.sqrt(variance / y.shape[1])
    mu, mu_star, sigma, half = (
        np.asarray(found[name], float) for name in ("mu", "mu_star", "sigma", "mu_star_conf")
    )
    return Screening(mu, mu_star, sigma, half, noise)


def shares(names: Sequence[str], y: Array, confidence: float, seed: int) -> Shares | None:
    """Sobol indices of a KPI, shape (rows of ``saltelli``,); None where constant or missing."""
    from SALib.analyze import sobol

    if not np.isfinite(y).all() or np.ptp(y) == 0:
        return None
    with _quiet():
        found = sobol.analyze(
            _problem(names),
            y,
            calc_second_order=False,
            num_resamples=RESAMPLES,
            conf_level=confidence,
            seed=seed,
        )
    return Shares(*(np.asarray(found[name], float) for name in ("S1", "S1_conf", "ST", "ST_conf")))


def ranked(screening: Screening) -> list[int]:
    """Places of the assumptions, the strongest first."""
    return [int(at) for at in np.argsort(-screening.mu_star, kind="stable")]


def drivers(screening: Screening, cover: float, most: int) -> list[int]:
    """Places of the few that matter, the strongest first.

    The smallest number of assumptions above noise whose squared mu* make up the share ``cover``
    of the sum of all of them, ``most`` at most: squares, because variance is what Sobol shares out.
    """
    above = [at for at in ranked(screening) if screening.mu_star[at] > screening.noise[at]]
    sizes = screening.mu_star[above] ** 2
    if not sizes.sum() > 0:
        return []
    reached = np.cumsum(sizes) / sizes.sum()
    needed = int(np.searchsorted(reached, cover - 1e-12)) + 1
    return above[: min(needed, most)]


def verdict(screening: Screening, at: int, chosen: Sequence[int]) -> str:
    """'driver', 'minor', 'below noise' or 'no effect'."""
    if at in chosen:
        return "driver"
    if screening.mu_star[at] == 0:
        return "no effect"
    return "minor" if screening.mu_star[at] > screening.noise[at] else "below noise"


def _problem(names: Sequence[str]) -> dict[str, Any]:
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A constant KPI is a result, not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
