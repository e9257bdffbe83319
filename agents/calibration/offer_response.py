"""Response to campaigns: household-fixed-effects evidence, and the prior that it updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from agents.calibration.contacts import ContactLog
from agents.calibration.likelihood import Floats
from agents.calibration.log import MINOR_UNITS, SECONDS_PER_WEEK, TransactionLog
from agents.errors import InputError

Outcome = Literal["trips", "spend", "basket"]
Trends = Literal["none", "reached", "household"]

PRIOR_SD = 0.05
"""Of the mean effect of a campaign on a log rate; the prior's mean is 0."""
MOST_CUSTOMERS = 20_000
FEWEST_WEEKS = 8
_STEPS = 50
_SWEEPS = 500
_ENOUGH = 1e-7
_LOWEST, _HIGHEST = -15.0, 15.0


@dataclass(frozen=True)
class WeeklyPanel:
    """Purchases and campaigns per customer and week.

    Attributes
    ----------
    trips, spend : float64, shape (customers, weeks)
        Purchases, and what was paid in currency units.
    observed : bool, shape (customers, weeks)
        Whether the customer's clock was running; with origin `first_purchase`, from the week
        after it.
    exposure : float64, shape (kinds, customers, weeks)
        Share of the week's days on which a campaign of the kind ran that reached the customer.
    kinds : tuple of str
    """

    trips: Floats
    spend: Floats
    observed: npt.NDArray[np.bool_]
    exposure: Floats
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class CampaignEffects:
    """Effects of campaigns on the log of an outcome in the weeks of the campaign.

    Attributes
    ----------
    outcome : {"trips", "spend", "basket"}
    kinds : tuple of str
    effect : float64, shape (kinds,)
    covariance : float64, shape (kinds, kinds)
        Robust to correlation within households.
    """

    outcome: Outcome
    kinds: tuple[str, ...]
    effect: Floats
    covariance: Floats

    @property
    def standard_error(self) -> Floats:
        """Shape (kinds,)."""
        return np.sqrt(np.diag(self.covariance))


def weekly_panel(log: TransactionLog, contacts: ContactLog, seed: int = 0) -> WeeklyPanel:
    """Whole weeks of every customer; a random 20,000 of them where there are more.

    Raises
    ------
    InputError
        If the log has fewer than 8 whole weeks, or a kind of campaign never ran within it.
    """
    weeks, n = log.end_time // SECONDS_PER_WEEK, log.n_customers
    if weeks < FEWEST_WEEKS:
        raise InputError(
            f"{log.name}: the log has {weeks} whole weeks; allowed: at least {FEWEST_WEEKS}, "
            "before and after campaigns"
        )
    chosen = np.arange(n)
    if n > MOST_CUSTOMERS:
        chosen = np.sort(np.random.default_rng(seed).choice(n, MOST_CUSTOMERS, replace=False))
    row = np.full(n, -1)
    row[chosen] = np.arange(len(chosen))
    week = log.time // SECONDS_PER_WEEK
    kept = (row[log.customer] >= 0) & (week < weeks)
    at = row[log.customer[kept]], week[kept]
    trips, spend = np.zeros((len(chosen), weeks)), np.zeros((len(chosen), weeks))
    np.add.at(trips, at, 1.0)
    np.add.at(spend, at, log.amount[kept] / MINOR_UNITS)
    observed = np.ones(trips.shape, bool)
    if log.origin == "first_purchase":
        observed = np.arange(weeks) > log.first_time()[chosen][:, None] // SECONDS_PER_WEEK
    exposure = np.zeros((len(contacts.kinds), *trips.shape))
    known = row[contacts.customer] >= 0
    first = np.arange(weeks) * 7
    start, end = contacts.start_day[known, None], contacts.end_day[known, None]
    share = np.clip(np.minimum(first + 7, end) - np.maximum(first, start), 0, 7) / 7
    np.maximum.at(exposure, (contacts.kind[known], row[contacts.customer[known]]), share)
    for number, kind in enumerate(contacts.kinds):
        if not exposure[number].any():
            raise InputError(
                f"{contacts.name}: no campaign of kind {kind!r} ran during the log {log.name}; "
                "allowed: campaigns that overlap it"
            )
    return WeeklyPanel(trips * observed, spend * observed, observed, exposure, contacts.kinds)


def campaign_effects(
    panel: WeeklyPanel,
    outcome: Outcome = "trips",
    *,
    household_effects: bool = True,
    trends: Trends = "reached",
) -> CampaignEffects:
    """Effect of being in a campaign on the log of trips, of spend, or of the mean basket.

    Trips and spend: Poisson pseudo-maximum likelihood, which is consistent for any distribution
    with that mean and takes weeks without a purchase as they are [1]_, with effects of weeks
    and households, by weighted least squares in turn. Basket: least squares of the log mean
    basket, weighted by trips. Standard errors are clustered by household [2]_.

    Parameters
    ----------
    household_effects : bool
        Without, contacted customers are compared with all others: what targeting does to a naive
        estimate.
    trends : {"none", "reached", "household"}
        Linear trends: none, one of those whom a kind of campaign ever reached, for every kind,
        or one of each household.

    Raises
    ------
    InputError
        If the campaigns' effects cannot be told from those of weeks and households.

    References
    ----------
    .. [1] Santos Silva and Tenreyro (2006). The log of gravity. Review of Economics and
       Statistics 88(4), 641-658. https://doi.org/10.1162/rest.88.4.641
    .. [2] Cameron and Miller (2015). A practitioner's guide to cluster-robust inference. Journal
       of Human Resources 50(2), 317-372. https://doi.org/10.3368/jhr.50.2.317
    """
    bought = panel.trips.sum(axis=1) > 0
    trips, spend = panel.trips[bought], panel.spend[bought]
    exposure = panel.exposure[:, bought]
    time = np.linspace(-0.5, 0.5, trips.shape[1])
    regressors = exposure
    if trends == "reached":
        ever = exposure.any(axis=2).astype(float)
        regressors = np.concatenate([exposure, ever[:, :, None] * time])
    slope = time if trends == "household" else None
    absorb = _Absorber(household_effects, slope)
    if outcome == "basket":
        ratio = np.where(trips > 0, spend / np.maximum(trips, 1), 0.0)
        weight = np.where(ratio > 0, trips, 0.0)
        y = np.log(np.where(ratio > 0, ratio, 1.0))
        coefficients, scores, inverse, _ = _least_squares(y, regressors, weight, absorb)
    else:
        coefficients, scores, inverse = _poisson(
            trips if outcome == "trips" else spend, regressors, panel.observed[bought], absorb
        )
    clusters = len(scores)
    covariance = inverse @ (scores.T @ scores) @ inverse * clusters / (clusters - 1)
    k = len(panel.kinds)
    return CampaignEffects(outcome, panel.kinds, coefficients[:k], covariance[:k, :k])


@dataclass(frozen=True)
class _Absorber:
    """Takes effects of weeks, of households and household trends out of arrays (…, n, weeks)."""

    household_effects: bool
    slope: Floats | None

    def __call__(self, values: Floats, weight: Floats) -> Floats:
        """What is left of each array, by alternating weighted projections."""
        left = values.copy()
        of_household = np.maximum(weight.sum(axis=1), 1e-300)[:, None]
        of_week = np.maximum(weight.sum(axis=0), 1e-300)
        if self.slope is not None:
            mean = (weight * self.slope).sum(axis=1, keepdims=True) / of_household
            tilt = self.slope - mean
            spread = np.maximum((weight * tilt**2).sum(axis=1, keepdims=True), 1e-9)
        for _ in range(_SWEEPS):
            by_week = (weight * left).sum(axis=-2, keepdims=True) / of_week
            left -= by_week
            if self.household_effects:
                left -= (weight * left).sum(axis=-1, keepdims=True) / of_household
            if self.slope is not None:
                left -= tilt * ((weight * tilt * left).sum(axis=-1, keepdims=True) / spread)
            if np.abs(by_week).max() < _ENOUGH:
                break
        return left


def _least_squares(
    y: Floats, regressors: Floats, weight: Floats, absorb: _Absorber
) -> tuple[Floats, Floats, Floats, Floats]:
    """Coefficients (p,), scores per household (n, p), inverse moments (p, p), residual."""
    left = absorb(np.concatenate([y[None], regressors]), weight)
    y, x = left[0], left[1:]
    moments = np.einsum("inw,jnw,nw->ij", x, x, weight)
    total = np.einsum("inw,inw,nw->i", regressors, regressors, weight)
    if not (np.diag(moments) > 1e-8 * total).all() or np.linalg.cond(moments) > 1e12:
        raise InputError(
            "contacts: the effects of campaigns cannot be told from those of weeks and customers; "
            "allowed: customers in a campaign and others not in one in the same week, and weeks "
            "with and without one"
        )
    inverse = np.linalg.inv(moments)
    coefficients = inverse @ np.einsum("inw,nw,nw->i", x, y, weight)
    residual = y - np.tensordot(coefficients, x, 1)
    return coefficients, np.einsum("inw,nw,nw->ni", x, residual, weight), inverse, residual


def _poisson(
    y: Floats, regressors: Floats, observed: npt.NDArray[np.bool_], absorb: _Absorber
) -> tuple[Floats, Floats, Floats]:
    """Poisson pseudo-maximum likelihood: coefficients, scores per household, inverse moments."""
    mean = (y + y.sum(axis=1, keepdims=True) / np.maximum(observed.sum(axis=1), 1)[:, None]) / 2
    log_mean = np.log(np.maximum(mean, np.exp(_LOWEST)))
    before = np.full(len(regressors), np.inf)
    for _ in range(_STEPS):
        mean = np.exp(log_mean)
        working = log_mean + (y - mean) / mean
        coefficients, scores, inverse, residual = _least_squares(
            working, regressors, mean * observed, absorb
        )
        log_mean = np.clip(working - residual, _LOWEST, _HIGHEST)
        if np.abs(coefficients - before).max() < 10 * _ENOUGH:
            return coefficients, scores, inverse
        before = coefficients
    raise InputError(
        "contacts: the effects of campaigns did not settle; allowed: more customers or weeks"
    )


@dataclass(frozen=True)
class UpdatedEffect:
    """A normal prior on a mean effect, the evidence, and what follows.

    Attributes
    ----------
    evidence, evidence_sd : float
        Of the kinds of campaign together, weighted by precision.
    mean, sd : float
        Of the posterior.
    prior_sd : float
        Of the prior, whose mean is 0.
    """

    evidence: float
    evidence_sd: float
    mean: float
    sd: float
    prior_sd: float

    @property
    def moved(self) -> float:
        """How far the mean moved, in sds of the prior."""
        return self.mean / self.prior_sd


def updated(
    effects: CampaignEffects, kinds: Sequence[str], prior_sd: float = PRIOR_SD
) -> UpdatedEffect:
    """Normal prior N(0, prior_sd) on the mean effect that these kinds of campaign share, updated.

    Conjugate: the estimates are taken as normal with their covariance.

    Raises
    ------
    ValueError
        If a kind is unknown or none is given.
    """
    at = [effects.kinds.index(kind) for kind in kinds]
    if not at:
        raise ValueError("kinds must name at least one kind of campaign")
    precision = np.linalg.inv(effects.covariance[np.ix_(at, at)])
    information = float(precision.sum())
    evidence = float(precision.sum(axis=0) @ effects.effect[at]) / information
    total = information + prior_sd**-2
    return UpdatedEffect(
        evidence, information**-0.5, evidence * information / total, total**-0.5, prior_sd
    )
