"""Redemption of campaigns: a logit with a random intercept per household, in PyMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from agents.calibration.contacts import ContactLog, pre_rates
from agents.calibration.laplace import around, compile_density, find_mode
from agents.calibration.likelihood import Floats, potential, summed
from agents.calibration.log import TransactionLog
from agents.calibration.models import Prior, Priors
from agents.calibration.nuts import Diagnostics, diagnose_normal, sample
from agents.compiled import threaded_kernel
from agents.elementary import exp, log
from agents.errors import InputError

if TYPE_CHECKING:
    import pymc as pm

Codes = npt.NDArray[np.int64]
Inference = Literal["map", "nuts"]

QUADRATURE_NODES = 24
LAPLACE_DRAWS = 2000
_HOUSEHOLDS_AT_ONCE = 1024
_NEWTON_STEPS = 60
_NEWTON_ENOUGH = 1e-6
_FACTORS = 512
_LONGEST_STEP = 3.0
_SD_CENTRE = 1.5


@dataclass(frozen=True)
class Redemptions:
    """Contacts by household.

    Attributes
    ----------
    first : int64, shape (households + 1,)
        Household h has rows first[h] to first[h + 1] - 1.
    kind : int64, shape (rows,)
        Code of the campaign's kind.
    pre_rate : float64, shape (rows,)
        Log purchases per week before the campaign, minus the mean over contacts.
    redeemed : float64, shape (rows,)
        1 if anything was redeemed, else 0.
    kinds : tuple of str
        Labels of `kind`.
    """

    first: Codes
    kind: Codes
    pre_rate: Floats
    redeemed: Floats
    kinds: tuple[str, ...]

    @property
    def household(self) -> Codes:
        """Household of each row, 0..households-1."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def redemptions(log: TransactionLog, contacts: ContactLog) -> Redemptions:
    """What the model reads of contacts that the log covers (`contacts.wholly_observed`).

    Raises
    ------
    InputError
        If a kind has no contact, or none or all of its contacts were redeemed.
    """
    for kind, share in zip(contacts.kinds, contacts.shares(), strict=True):
        if not 0 < share < 1:
            raise InputError(
                f"{contacts.name}: kind {kind!r}: share redeemed is {share:.0%} of the contacts "
                "that the log covers; allowed: some redeemed and some not, of every kind"
            )
    _, first = np.unique(contacts.customer, return_index=True)
    return Redemptions(
        np.append(first, len(contacts)).astype(np.int64),
        contacts.kind,
        pre_rates(log, contacts),
        contacts.redeemed.astype(np.float64),
        contacts.kinds,
    )


class RandomInterceptLogit:
    """Logit of redeeming: intercept[kind] + slope × log pre-rate + u, u ~ N(0, sd) per household.

    The integral over u is by adaptive Gauss-Hermite quadrature [1]_: 24 nodes around each
    household's mode, spread by the curvature there, which err by about 1e-4 of a household's
    log-likelihood at sd 4 and by less than 1e-6 at 2. The gradient is the integral of the
    derivative, on the same nodes.

    Parameters
    ----------
    data : Redemptions

    References
    ----------
    .. [1] Pinheiro and Bates (1995). Approximations to the log-likelihood function in the
       nonlinear mixed-effects model. Journal of Computational and Graphical Statistics 4(1),
       12-35.
    """

    def __init__(self, data: Redemptions) -> None:
        self.names = (*(f"intercept[{kind}]" for kind in data.kinds), "slope", "household_sd")
        self._data = data
        self._node, weight = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
        # A node stands for exp(node^2 / 2) of the weight, and the prior's density is left to do.
        self._log_weight = np.log(weight) + self._node**2 / 2 - np.log(2 * np.pi) / 2

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """Value and gradient in (intercepts, slope, sd)."""
        data = self._data
        intercepts = np.ascontiguousarray(parameters[:-2], np.float64)
        slope, sd = float(parameters[-2]), float(parameters[-1])

        def kernel(first: int, last: int, out: Floats) -> None:
            _random_intercept(
                data.first, data.kind, data.pre_rate, data.redeemed, intercepts, slope, sd,
                self._node, self._log_weight, first, last, out,
            )  # fmt: skip

        sums = summed(kernel, len(data.first) - 1, len(parameters) + 1, _HOUSEHOLDS_AT_ONCE)
        return float(sums[0]), sums[1:]


@threaded_kernel
def _random_intercept(  # type: ignore[no-untyped-def]
    start, kind, pre_rate, redeemed, intercepts, slope, sd, node, log_weight, first, last, out
):
    """Add value and gradient of households first..last-1 to ``out``, shape (kinds + 3,)."""
    most = 0
    for h in range(first, last):
        most = max(most, start[h + 1] - start[h])
    left = np.empty((most, node.size))  # redeemed minus its probability, at every node
    v, value, spread = np.empty(node.size), np.empty(node.size), np.empty(node.size)
    for h in range(first, last):
        # Mode and curvature in v = u / sd, whose prior is standard; the integrand is log-concave.
        mode = 0.0
        curvature = 1.0
        for _ in range(_NEWTON_STEPS):
            pull = -mode
            curvature = 1.0
            for i in range(start[h], start[h + 1]):
                eta = intercepts[kind[i]] + slope * pre_rate[i] + sd * mode
                decay = exp(-abs(eta))
                p = (1.0 if eta >= 0.0 else decay) / (1.0 + decay)
                pull += sd * (redeemed[i] - p)
                curvature += sd * sd * p * (1.0 - p)
            step = min(max(pull / curvature, -_LONGEST_STEP), _LONGEST_STEP)
            mode += step
            if abs(step) < _NEWTON_ENOUGH:
                break
        width = 1.0 / np.sqrt(curvature)
        for j in range(node.size):
            v[j] = mode + width * node[j]
            value[j] = log_weight[j] - v[j] * v[j] / 2.0
        spread[:] = 1.0
        for i in range(start[h], start[h + 1]):
            mean, y, row = intercepts[kind[i]] + slope * pre_rate[i], redeemed[i], i - start[h]
            for j in range(node.size):
                eta = mean + sd * v[j]
                decay = exp(-abs(eta))
                left[row, j] = y - (1.0 if eta >= 0.0 else decay) / (1.0 + decay)
                value[j] += y * eta - max(eta, 0.0)
                # A product of at most 2s has one log for all contacts; it starts anew in time.
                spread[j] *= 1.0 + decay
            if row % _FACTORS == _FACTORS - 1:
                for j in range(node.size):
                    value[j] -= log(spread[j])
                spread[:] = 1.0
        peak = -1e300
        for j in range(node.size):
            value[j] -= log(spread[j])
            peak = max(peak, value[j])
        total = 0.0
        for j in range(node.size):
            value[j] = exp(value[j] - peak)
            total += value[j]
        out[0] += peak + log(total * width)
        for i in range(start[h], start[h + 1]):
            mean, by_sd = 0.0, 0.0
            for j in range(node.size):
                part = value[j] * left[i - start[h], j]
                mean += part
                by_sd += part * v[j]
            out[1 + kind[i]] += mean / total
            out[intercepts.size + 1] += mean * pre_rate[i] / total
            out[intercepts.size + 2] += by_sd / total


def redemption_model(data: Redemptions, priors: Priors = "weak") -> pm.Model:
    """PyMC model of `RandomInterceptLogit`.

    Priors: intercepts ~ N(logit of the share redeemed, 2), slope ~ N(0, 1),
    log household_sd ~ N(log 1.5, .7).
    """
    import pymc as pm
    import pytensor.tensor as pt

    likelihood = RandomInterceptLogit(data)
    share = float(logit(data.redeemed.mean()))
    assumed = {name: Prior("linear", share, 2.0) for name in likelihood.names[:-2]}
    assumed |= {
        "slope": Prior("linear", 0.0, 1.0),
        "household_sd": Prior("log", float(np.log(_SD_CENTRE)), 0.7),
    }
    if priors == "flat":
        assumed = {name: one._replace(sd=np.inf) for name, one in assumed.items()}

    def free(name: str, prior: Prior) -> pm.Distribution:
        if priors == "flat":
            return pm.Flat(name, initval=prior.centre)
        return pm.Normal(name, prior.centre, prior.sd, initval=prior.centre)

    with pm.Model() as model:
        parameters = [free(name, assumed[name]) for name in likelihood.names[:-1]]
        log_sd = free("log_household_sd", assumed["household_sd"])
        potential(likelihood, *parameters, pm.Deterministic("household_sd", pt.exp(log_sd)))
    model.priors = assumed
    return model


@dataclass(frozen=True)
class RedemptionFit:
    """Parameters of `RandomInterceptLogit`.

    Attributes
    ----------
    names : tuple of str
        ``intercept[kind]`` for every kind, ``slope``, ``household_sd``.
    estimate, sd : float64, shape (p,)
        Posterior mode and sd (MAP), or mean and sd (NUTS).
    draws : float64, shape (draws, p)
        Of the posterior or of its normal approximation.
    log_likelihood : float
        At the mode.
    diagnostics : Diagnostics
        How far the draws can be trusted; `failures()` says what is wrong.
    """

    names: tuple[str, ...]
    estimate: Floats
    sd: Floats
    draws: Floats
    log_likelihood: float
    diagnostics: Diagnostics

    def value(self, name: str) -> float:
        """Estimate of one parameter."""
        return float(self.estimate[self.names.index(name)])


def fit_redemption(
    data: Redemptions,
    *,
    inference: Inference = "map",
    priors: Priors = "weak",
    seed: int = 0,
) -> RedemptionFit:
    """Posterior of the redemption logit by MAP with a Laplace approximation, or by NUTS.

    Raises
    ------
    InputError
        If the contacts do not identify the parameters, or NUTS fails its diagnostics.
    """
    density = compile_density(redemption_model(data, priors))
    mode = find_mode(density, "redemption")
    if inference == "map":
        points = around(mode, LAPLACE_DRAWS, np.random.default_rng(seed))
        diagnostics = diagnose_normal(density, mode, points[::4])
    else:
        chains, diagnostics = sample(density, mode, seed=seed)
        points = chains.reshape(-1, chains.shape[-1])
        failures = diagnostics.failures()
        if failures:
            raise InputError(f"redemption: {'; '.join(failures)}; allowed: inference=map")
    names = RandomInterceptLogit(data).names

    def table(at: Floats) -> Floats:
        values = density.parameters(at)
        return np.stack([values[name] for name in names], axis=1)

    draws = table(points)
    estimate = table(mode.point[None])[0] if inference == "map" else draws.mean(axis=0)
    return RedemptionFit(
        names, estimate, draws.std(axis=0), draws, mode.log_likelihood, diagnostics
    )


def share_of_top(count: npt.NDArray[np.number], top: float = 0.1) -> float:
    """Share of all redemptions made by the households with the most, the top tenth of them."""
    most = np.sort(count)[::-1][: max(round(top * len(count)), 1)]
    return float(most.sum() / count.sum())


def predicted_top_shares(
    fit: RedemptionFit, data: Redemptions, draws: int = 200, seed: int = 0
) -> Floats:
    """Posterior predictive distribution of `share_of_top` of redeemed contacts, shape (draws,).

    New households, with the contacts and pre-rates of the observed ones.
    """
    rng = np.random.default_rng(seed)
    household, n = data.household, len(data.first) - 1
    shares = np.empty(draws)
    for at, parameters in enumerate(fit.draws[rng.integers(0, len(fit.draws), draws)]):
        u = parameters[-1] * rng.standard_normal(n)
        eta = parameters[:-2][data.kind] + parameters[-2] * data.pre_rate + u[household]
        redeemed = rng.random(len(eta)) < expit(eta)
        shares[at] = share_of_top(np.bincount(household, redeemed, n))
    return shares
