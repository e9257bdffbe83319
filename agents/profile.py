"""What the firm can observe: a fold of events, the same in the simulator and in production.

Within a week the fold only adds integers, takes maxima or sets flags, so the order of events does
not matter; ``week_close`` does the floating point work (docs/contracts.md §6).
"""

import math
from collections import namedtuple
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from agents.compiled import kernel
from agents.elementary import exp, log
from agents.ranges import check_range
from agents.records import (
    MAX_CATEGORY_PURCHASES,
    MAX_OFFER_COUNT,
    MAX_WEEK_PURCHASES,
    N_CHANNELS,
    SECONDS_PER_WEEK,
    Field,
    record_dtype,
)


class EventKind(IntEnum):
    """Kinds of event; codes and amounts are in docs/contracts.md §6."""

    JOIN = 0
    PURCHASE = 1
    CONTACT = 2
    OPEN = 3
    REDEEM_OFFER = 4
    POINTS = 5
    TIER = 6
    QUALIFY = 7
    OPT_OUT = 8
    CLOSE_ACCOUNT = 9
    RENEW = 10
    SURVEY = 11


class PointsReason(IntEnum):
    """Why a points balance changed."""

    EARN = 0
    REDEEM = 1
    EXPIRE = 2


(
    JOIN, PURCHASE, CONTACT, OPEN, REDEEM_OFFER, POINTS, TIER, QUALIFY, OPT_OUT, CLOSE_ACCOUNT,
    RENEW, SURVEY,
) = (int(kind) for kind in EventKind)  # fmt: skip
LAST_USE = 1  # in the channel of REDEEM_OFFER: no use is left
_OFFER_ENDED, _RENEWED, _FIRST_BASKET, _CLOSED = 1, 2, 4, 8  # bits of flags
EARN, REDEEM, EXPIRE = (int(reason) for reason in PointsReason)

_FAST_KEEP = math.exp(-1.0 / 4.0)
_SLOW_KEEP = math.exp(-1.0 / 26.0)
_MAX_ODDS = 1e12
_LIFT_WEIGHT = 4.0
_MOST_LOG_GROWTH = 60.0
_TWELFTH = 1.0 / 12.0
_WEEK = 1.0 / SECONDS_PER_WEEK


@dataclass(frozen=True)
class FilterParameters:
    """Prior of the P(alive) recursion.

    Purchase rate ~ Gamma(rate_shape, rate_rate), dropout hazard ~ Gamma(dropout_shape,
    dropout_rate), rates per week. ``keep`` < 1 forgets old purchases when the rate drifts.
    ``spend_prior_baskets`` and ``spend_prior_mean`` (minor units) shrink the mean basket.
    ``fee_margin`` is the margin of a subscription, minor units per week.
    """

    rate_shape: float
    rate_rate: float
    dropout_shape: float
    dropout_rate: float
    keep: float = 1.0
    spend_prior_baskets: float = 2.0
    spend_prior_mean: float = 3000.0
    fee_margin: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate"):
            check_range(name, getattr(self, name), 1e-9, 1e9)
        check_range("keep", self.keep, 0.5, 1.0)
        check_range("spend_prior_baskets", self.spend_prior_baskets, 0.0, 1e6)
        check_range("spend_prior_mean", self.spend_prior_mean, 0.0, 1e9)
        check_range("fee_margin", self.fee_margin, 0.0, 1e9)


_FILTER_NAMES = tuple(FilterParameters.__dataclass_fields__)
FILTER = record_dtype(
    tuple(Field(name, "f8", (), "", "see FilterParameters") for name in _FILTER_NAMES)
)


def filter_record(parameters: FilterParameters) -> NDArray[np.void]:
    """Compiled form of the parameters, shape (1,)."""
    record = np.zeros(1, FILTER)
    for name in _FILTER_NAMES:
        record[name] = getattr(parameters, name)
    return record


@kernel
def count_category(profile, category):  # type: ignore[no-untyped-def]
    """Count a purchase of a main category, up to the most that PROFILE holds."""
    profile.categories[category] += profile.categories[category] < MAX_CATEGORY_PURCHASES


@kernel
def fold_purchases(profile, number, last, amount):  # type: ignore[no-untyped-def]
    """Fold so many purchases, the last at ``last`` for ``amount`` together; not their categories.

    Branch-free; nothing changes if there are none and ``last`` is no later than the last.
    """
    profile.repeats += number
    profile.week_purchases = min(profile.week_purchases + number, MAX_WEEK_PURCHASES)
    profile.revenue += amount
    profile.week_revenue += amount
    profile.last_purchase = max(profile.last_purchase, last)


@kernel
def fold(profile, kind, time, code, channel, amount):  # type: ignore[no-untyped-def]
    """Fold one event into a PROFILE row; commutative within a week."""
    if kind == PURCHASE:
        fold_purchases(profile, 1, time, amount)
        if code > 0:
            count_category(profile, code - 1)
    elif kind == POINTS:
        profile.points += amount
    elif kind == QUALIFY:
        profile.qualifying += amount
    elif kind == CONTACT:
        profile.contacts[channel] |= np.uint16(1)
        profile.messages[channel] += 1
        profile.sent[code] += 1
        profile.offer_weeks_left = amount
    elif kind == OPEN:
        profile.opened[channel] += 1
    elif kind == REDEEM_OFFER:
        profile.redeemed[code] += 1
        if channel == LAST_USE:
            profile.flags |= _OFFER_ENDED
    elif kind == TIER:
        profile.tier = code
    elif kind == OPT_OUT:
        profile.opted_out |= 1 << channel
    elif kind == CLOSE_ACCOUNT:
        profile.flags |= _CLOSED
    elif kind == RENEW:
        profile.renewals += 1
        profile.flags |= _RENEWED
        profile.week_revenue += amount
    elif kind == SURVEY:
        if code == 0:
            profile.nps = amount + 1
        else:
            profile.csat = amount
    elif kind == JOIN:
        profile.joined = time
        profile.last_purchase = max(profile.last_purchase, time)
        profile.revenue += amount
        profile.week_revenue += amount
        if amount > 0:
            profile.flags |= _FIRST_BASKET
        if code > 0:
            count_category(profile, code - 1)


@kernel
def post(profile, log, customer, time, kind, code, channel, amount):  # type: ignore[no-untyped-def]
    """Fold an event and, where the LOG row has room, write it down."""
    fold(profile, kind, time, code, channel, amount)
    if log.room > 0:
        at = log.used
        log.used = at + 1
        log.words[at, 0] = np.int64(customer)
        log.words[at, 1] = np.int64(time)
        log.words[at, 2] = np.int64(amount)
        log.words[at, 3] = (
            np.int64(at)
            | (np.int64(kind) << 32)
            | (np.int64(code) << 40)
            | (np.int64(channel) << 48)
        )


@kernel
def log_of(log, row):  # type: ignore[no-untyped-def]
    """LOG row of a customer's row: its own, or the one without room that all share."""
    return log[np.uint64(min(np.int64(row), log.shape[0] - 1))]


@kernel
def _half_integral(high, low, log_ratio, sag, inverse, span):  # type: ignore[no-untyped-def]
    """Mean over a time ``span`` of a nearly exponential fall from ``high`` to ``low``, per time.

    ``sag`` is its mean relative to the exact exponential, ``inverse`` one over the time at
    mid-span.
    """
    mean = 0.5 * (high + low) if log_ratio < 1e-6 else (high - low) / log_ratio
    step = inverse * span
    return inverse * (mean * sag * (1.0 + step * step * _TWELFTH) + step * (high - low) * _TWELFTH)


@kernel
def filter_week(  # type: ignore[no-untyped-def]
    odds, rate_shape, rate, dropout_shape, dropout, exposure, quiet
):
    """Odds of having left silently after the quiet end of a week; branch-free.

    Exact for Pareto/NBD up to integrating each half of the quiet time as an exponential.

    Parameters
    ----------
    odds
        At the start of the quiet time; 0 right after a purchase.
    rate_shape, rate, dropout_shape, dropout
        Gamma beliefs about purchase rate and hazard at that moment.
    exposure, quiet
        Season's factor on the purchase rate; length of the quiet time, weeks.
    """
    exposed = exposure * quiet / rate
    aged = quiet / dropout
    log_growth = min(
        rate_shape * log(1.0 + exposed) + dropout_shape * log(1.0 + aged), _MOST_LOG_GROWTH
    )
    log_early = min(
        rate_shape * log(1.0 + 0.5 * exposed) + dropout_shape * log(1.0 + 0.5 * aged), log_growth
    )
    log_late = log_growth - log_early
    growth = exp(log_growth)
    half = exp(log_late)
    # The odds of surviving fall almost exponentially and the hazard almost linearly: each half
    # of the quiet time is integrated as an exponential, less its curvature, times a line.
    span = 0.5 * quiet
    sag = 1.0 - (log_early - log_late) * _TWELFTH
    inverse = 1.0 / (dropout + span)
    shift = 0.5 * span * inverse
    early = inverse * (1.0 + shift * (1.0 + shift * (1.0 + shift)))
    late = inverse * (1.0 - shift * (1.0 - shift * (1.0 - shift)))
    died = (
        span
        * dropout_shape
        * (
            _half_integral(growth, half, log_early, sag, early, span)
            + _half_integral(half, 1.0, log_late, sag, late, span)
        )
    )
    return min(odds * growth + died, _MAX_ODDS)


@kernel
def share_before(time, monday):  # type: ignore[no-untyped-def]
    """Share of the week from ``monday`` that lies before ``time``; 0 if all of it lies after."""
    return max(time - monday, 0) * _WEEK


@kernel
def count_offer_week(profile):  # type: ignore[no-untyped-def]
    """Count a week in which an offer was open, and what was bought in it, redeemed or not.

    That is the week of a contact and each later one until the offer has expired or is used up, the
    week of its last use with all its purchases among them. Both counters stop where one is full:
    their ratio stays right.
    """
    purchases = np.int64(profile.offer_purchases) + profile.week_purchases
    if purchases <= MAX_OFFER_COUNT and profile.offer_weeks < MAX_OFFER_COUNT:
        profile.offer_purchases = purchases
        profile.offer_weeks += 1


@kernel
def close_profile(profile, odds, count, exposure, age):  # type: ignore[no-untyped-def]
    """Close a week of a joined customer's row: beliefs, moving averages, contact history."""
    profile.dead_odds = odds
    profile.effective_repeats = count
    profile.exposure = exposure
    profile.age = age
    profile.purchases_fast = (
        _FAST_KEEP * profile.purchases_fast + (1.0 - _FAST_KEEP) * profile.week_purchases
    )
    profile.revenue_fast = (
        _FAST_KEEP * profile.revenue_fast + (1.0 - _FAST_KEEP) * profile.week_revenue
    )
    profile.revenue_slow = (
        _SLOW_KEEP * profile.revenue_slow + (1.0 - _SLOW_KEEP) * profile.week_revenue
    )
    if profile.offer_weeks_left > 0:
        count_offer_week(profile)
    profile.week_purchases = 0
    profile.week_revenue = 0
    if profile.flags & _RENEWED:  # whoever pays at the end of a week is there
        profile.dead_odds = 0.0
    if profile.flags & (_OFFER_ENDED | _CLOSED):
        profile.offer_weeks_left = 0
    profile.flags &= _FIRST_BASKET | _CLOSED
    profile.offer_weeks_left -= profile.offer_weeks_left > 0
    for channel in range(N_CHANNELS):
        profile.contacts[channel] = np.uint16(profile.contacts[channel] << 1)


Prior = namedtuple("Prior", ("rate_shape", "rate_rate", "dropout_shape", "dropout_rate", "keep"))


@kernel
def loaded_prior(parameters):  # type: ignore[no-untyped-def]
    """What ``week_beliefs`` needs of a FILTER record, read once for a loop over rows."""
    return Prior(
        parameters.rate_shape,
        parameters.rate_rate,
        parameters.dropout_shape,
        parameters.dropout_rate,
        parameters.keep,
    )


@kernel
def week_beliefs(odds, count, spent, age, purchases, begin, last, exposure, parameters):  # type: ignore[no-untyped-def]
    """Beliefs after a week, as ``close_profile`` takes them; branch-free.

    Parameters
    ----------
    odds, count, spent, age
        ``dead_odds``, ``effective_repeats``, ``exposure`` and ``age`` of the profile.
    purchases
        Of the week.
    begin, last
        Share of the week before joining, and before the last purchase.
    exposure
        Season's factor on the purchase rate.
    parameters
        FILTER record or ``Prior``.
    """
    count = count * parameters.keep + purchases
    spent = spent * parameters.keep
    bought = purchases > 0
    start = last if bought else begin
    lived = start - begin
    odds = filter_week(
        0.0 if bought else odds,
        parameters.rate_shape + count,
        parameters.rate_rate + spent + exposure * lived,
        parameters.dropout_shape,
        parameters.dropout_rate + age + lived,
        exposure,
        1.0 - start,
    )
    return odds, count, spent + exposure * (1.0 - begin), age + (1.0 - begin)


@kernel
def week_close(profile, parameters, week, exposure):  # type: ignore[no-untyped-def]
    """Close a week of a PROFILE row; does nothing before joining.

    ``exposure`` is the season's factor on the purchase rate (known to the firm), ``week`` the
    number of the week that ends.
    """
    if profile.joined < 0:
        return
    monday = np.int64(week) * SECONDS_PER_WEEK
    odds, count, spent, age = week_beliefs(
        profile.dead_odds,
        profile.effective_repeats,
        profile.exposure,
        profile.age,
        profile.week_purchases,
        share_before(profile.joined, monday),
        share_before(profile.last_purchase, monday),
        exposure,
        parameters,
    )
    close_profile(profile, odds, count, spent, age)


@kernel
def contact_history(profile):  # type: ignore[no-untyped-def]
    """Weeks with a contact by whatever channel, as bits; bit 0 is the running week."""
    history = np.uint16(0)
    for channel in range(N_CHANNELS):
        history |= profile.contacts[channel]
    return history


@kernel
def weeks_contacted(history, weeks):  # type: ignore[no-untyped-def]
    """How many of the ``weeks`` closed weeks before this one have their bit set."""
    bits = (np.int64(history) >> 1) & ((np.int64(1) << np.int64(weeks)) - 1)
    total = 0
    while bits:
        bits &= bits - 1
        total += 1
    return total


@kernel
def p_alive(profile):  # type: ignore[no-untyped-def]
    """Posterior probability that the customer has not silently left."""
    if profile.flags & _CLOSED:
        return 0.0
    return 1.0 / (1.0 + profile.dead_odds)


@kernel
def expected_rate(profile, parameters):  # type: ignore[no-untyped-def]
    """Posterior mean of purchases per week while alive."""
    return (parameters.rate_shape + profile.effective_repeats) / (
        parameters.rate_rate + profile.exposure
    )


@kernel
def offer_lift(profile, parameters):  # type: ignore[no-untyped-def]
    """Posterior mean of purchases with an offer per purchase to expect without; 1 without offers.

    Purchases in the ``offer_weeks`` ~ Poisson(lift × rate × weeks), lift ~ Gamma of mean 1 that
    weighs ``_LIFT_WEIGHT`` purchases. The rate is that of all other weeks, with the filter's prior:
    their number, ``usual``, limits what the comparison can tell, since the variance of the log
    ratio is about 1/expected + 1/usual. Offers count whether or not their message was opened.

    What it does not see: the season and the drift of the rate (both are means of other times than
    the offers'), which kind of offer it was, purchases that an offer moved from a week without
    one, and death: the silent weeks of somebody who left lower the lift as far as offers went on,
    and raise it as far as they stopped; P(alive) tells of that. Whom a policy chose for offers
    because they bought more or less than usual just before is compared with their own mean.
    """
    usual = parameters.rate_shape + max(0, profile.repeats - np.int64(profile.offer_purchases))
    weeks = parameters.rate_rate + max(0.0, profile.age - profile.offer_weeks)
    expected = usual / weeks * profile.offer_weeks
    certain = usual / (usual + expected)
    return (_LIFT_WEIGHT + certain * profile.offer_purchases) / (_LIFT_WEIGHT + certain * expected)


@kernel
def expected_basket(profile, parameters):  # type: ignore[no-untyped-def]
    """Shrunk mean basket in minor units."""
    first = (profile.flags & _FIRST_BASKET) > 0
    weight = parameters.spend_prior_baskets + (profile.repeats + first)
    if weight <= 0.0:
        return parameters.spend_prior_mean
    return (parameters.spend_prior_baskets * parameters.spend_prior_mean + profile.revenue) / weight


@kernel
def expected_survival(profile, parameters, weeks):  # type: ignore[no-untyped-def]
    """Expected weeks alive of the next ``weeks``, given alive now (gamma-mixed hazard)."""
    dropout = parameters.dropout_rate + profile.age
    shape = parameters.dropout_shape
    if abs(shape - 1.0) < 1e-9:
        return dropout * log(1.0 + weeks / dropout)
    return dropout / (shape - 1.0) * (1.0 - exp((1.0 - shape) * log(1.0 + weeks / dropout)))


@kernel
def residual_value(profile, parameters, margin_share, weeks):  # type: ignore[no-untyped-def]
    """Expected margin of the next ``weeks`` in minor units, before any programme cost."""
    return (
        p_alive(profile)
        * expected_survival(profile, parameters, weeks)
        * (
            expected_rate(profile, parameters) * expected_basket(profile, parameters) * margin_share
            + parameters.fee_margin
        )
    )
