"""The fold and its filter: order within a week, the closed form of P(alive), cold start."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from agents.population import MUSIC_STORE, filter_from
from agents.profile import (
    CLOSE_ACCOUNT,
    CONTACT,
    JOIN,
    LAST_USE,
    OPEN,
    OPT_OUT,
    POINTS,
    PURCHASE,
    QUALIFY,
    REDEEM_OFFER,
    TIER,
    FilterParameters,
    contact_history,
    expected_basket,
    expected_rate,
    expected_survival,
    filter_record,
    fold,
    offer_lift,
    p_alive,
    residual_value,
    week_close,
    weeks_contacted,
)
from agents.records import (
    MAX_CATEGORY_PURCHASES,
    MAX_OFFER_COUNT,
    MAX_WEEK_PURCHASES,
    PROFILE,
    SECONDS_PER_WEEK,
)

PRIOR = FilterParameters(0.7, 0.58, 0.6, 87.0, keep=0.95)


def newcomer() -> np.ndarray:
    profile = np.zeros(1, PROFILE)
    profile["joined"] = -1
    return profile


def at(week: float) -> int:
    return round(week * SECONDS_PER_WEEK)


# (kind, share of the week, code, channel, amount); a week brings at most one JOIN, CONTACT, TIER.
SHARE = st.floats(0.0, 0.999)
KIND, CHANNEL = st.integers(0, 3), st.integers(0, 2)
REPEATED = st.one_of(
    st.tuples(st.just(PURCHASE), SHARE, st.just(0), st.just(0), st.integers(0, 10**6)),
    st.tuples(st.just(OPEN), SHARE, KIND, CHANNEL, st.just(0)),
    st.tuples(st.just(REDEEM_OFFER), SHARE, KIND, st.just(0), st.integers(0, 10**4)),
    st.tuples(st.just(POINTS), SHARE, st.integers(0, 2), st.just(0), st.integers(-500, 500)),
    st.tuples(st.just(QUALIFY), SHARE, st.just(0), st.just(0), st.integers(-(10**5), 10**5)),
    st.tuples(st.just(OPT_OUT), SHARE, st.just(0), CHANNEL, st.just(0)),
    st.tuples(st.just(CLOSE_ACCOUNT), SHARE, st.just(0), st.just(0), st.just(0)),
)
ONCE = st.tuples(
    st.lists(st.tuples(st.just(CONTACT), SHARE, KIND, CHANNEL, st.integers(1, 8)), max_size=1),
    st.lists(
        st.tuples(st.just(TIER), SHARE, st.integers(0, 5), st.just(0), st.just(0)), max_size=1
    ),
).map(lambda pair: pair[0] + pair[1])
WEEK = st.tuples(st.lists(REPEATED, max_size=12), ONCE).map(lambda pair: pair[0] + pair[1])


def profile_after(weeks: list, shuffle: random.Random | None) -> bytes:
    profile, prior = newcomer(), filter_record(PRIOR)[0]
    for week, events in enumerate(weeks):
        if week == 0:
            events = [(JOIN, 0.0, 0, 0, 1234), *events]
        for kind, share, code, channel, amount in (
            events if shuffle is None else shuffle.sample(events, len(events))
        ):
            fold(profile[0], kind, at(week) + at(share), code, channel, amount)
        week_close(profile[0], prior, week, 1.0)
    return profile.tobytes()


@given(st.lists(WEEK, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_events_within_a_week_does_not_matter(weeks, shuffle) -> None:
    assert profile_after(weeks, shuffle) == profile_after(weeks, None)


def test_the_week_of_an_event_does_matter() -> None:
    bought = (PURCHASE, 0.5, 0, 0, 1000)
    assert profile_after([[bought], []], None) != profile_after([[], [bought]], None)


def filtered(prior: FilterParameters, times: list[float], weeks: int, exposure) -> np.ndarray:
    """Profile at the end of ``weeks``; the first time is that of joining."""
    profile, record = newcomer(), filter_record(prior)[0]
    at_week = [[] for _ in range(weeks)]
    for number, time in enumerate(times):
        at_week[int(time)].append((PURCHASE if number else JOIN, at(time)))
    for week, events in enumerate(at_week):
        for kind, time in events:
            fold(profile[0], kind, time, 0, 0, 1000)
        week_close(profile[0], record, week, exposure[week])
    return profile[0]


def exact_p_alive(prior: FilterParameters, times: list[float], weeks: int, exposure) -> float:
    """Pareto/NBD (Schmittlein, Morrison & Colombo 1987) under a known season, by quadrature."""
    r, alpha = prior.rate_shape + len(times) - 1, prior.rate_rate
    s, beta = prior.dropout_shape, prior.dropout_rate
    edges = np.arange(weeks + 1)
    cumulative = np.concatenate([[0.0], np.cumsum(exposure)])

    def log_a(time: float) -> float:
        effective = np.interp(time, edges, cumulative) - np.interp(times[0], edges, cumulative)
        return -s * math.log(beta + time - times[0]) - r * math.log(alpha + effective)

    end = log_a(weeks)
    odds = 0.0
    for week in range(int(times[-1]), weeks):  # smooth within a week
        odds += integrate.quad(
            lambda t: s / (beta + t - times[0]) * math.exp(log_a(t) - end),
            max(week, times[-1]), week + 1, epsabs=0, epsrel=1e-10,
        )[0]  # fmt: skip
    return 1 / (1 + odds)


def histories(prior: FilterParameters, n: int, seed: int):
    """Joining and purchase times of random customers of the prior, on whole seconds."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        weeks = int(rng.integers(1, 60))
        rate = min(rng.gamma(prior.rate_shape, 1 / prior.rate_rate), 60.0)
        lifetime = rng.exponential(1 / rng.gamma(prior.dropout_shape, 1 / prior.dropout_rate))
        joined = rng.uniform(0, min(weeks, 3))
        end = min(weeks, joined + lifetime)
        bought = rng.uniform(joined, end, rng.poisson(rate * (end - joined)))
        seconds = np.floor(np.array([joined, *sorted(bought)]) * SECONDS_PER_WEEK)
        yield list(seconds / SECONDS_PER_WEEK), weeks


# The bound is that of Simpson's rule over a quiet week, so it grows with purchases per week.
GROCERY_RATES = FilterParameters(0.704, 0.582, 0.6, 870.0)
BRISK = FilterParameters(2.0, 1.0, 1.0, 10.0)


@pytest.mark.parametrize("seasonal", [False, True])
@pytest.mark.parametrize(
    ("prior", "bound"),
    [(filter_from(MUSIC_STORE), 1e-6), (GROCERY_RATES, 5e-4), (BRISK, 5e-3)],
    ids=["music_store", "grocery", "brisk"],
)
def test_p_alive_follows_the_closed_form_of_pareto_nbd(prior, bound, seasonal) -> None:
    rng = np.random.default_rng(5)
    errors = []
    for times, weeks in histories(prior, 400, seed=11):
        exposure = rng.uniform(0.5, 1.8, weeks) if seasonal else np.ones(weeks)
        profile = filtered(prior, times, weeks, exposure)
        errors.append(abs(p_alive(profile) - exact_p_alive(prior, times, weeks, exposure)))
        assert profile["effective_repeats"] == profile["repeats"] == len(times) - 1
        assert profile["age"] == pytest.approx(weeks - times[0])
    print(f"error of P(alive): largest {max(errors):.1e}, mean {np.mean(errors):.1e}")
    assert max(errors) < bound
    assert np.mean(errors) < bound / 20


def test_a_discount_forgets_purchases_and_exposure_at_the_same_pace() -> None:
    prior = FilterParameters(0.7, 0.58, 0.6, 87.0, keep=0.9)
    profile = filtered(prior, [0.0, 0.3, 0.6, 2.5], 5, np.ones(5))
    assert profile["effective_repeats"] == pytest.approx(2 * 0.9**4 + 0.9**2)
    assert profile["exposure"] == pytest.approx(sum(0.9**k for k in range(5)))
    assert profile["age"] == 5.0
    assert expected_rate(profile, filter_record(prior)[0]) == pytest.approx(
        (0.7 + profile["effective_repeats"]) / (0.58 + profile["exposure"])
    )


def test_p_alive_survives_a_long_silence_of_a_heavy_buyer() -> None:
    times = [0.0, *np.arange(0.01, 10.0, 0.02)]
    profile = filtered(GROCERY_RATES, times, 520, np.ones(520))
    assert 0.0 < p_alive(profile) < 1e-9
    assert math.isfinite(profile["dead_odds"])


@pytest.mark.parametrize("shape", [0.1, 0.6, 1.0 - 1e-7, 1.0, 1.0 + 1e-12, 2.5])
@pytest.mark.parametrize("weeks", [1.0, 26.0, 520.0])
def test_expected_survival_is_the_integral_of_the_survival_function(shape, weeks) -> None:
    prior = FilterParameters(0.7, 0.58, shape, 11.7)
    profile = newcomer()
    profile["age"] = 9.5
    exact = integrate.quad(lambda t: ((11.7 + 9.5) / (11.7 + 9.5 + t)) ** shape, 0, weeks)[0]
    assert expected_survival(profile[0], filter_record(prior)[0], weeks) == pytest.approx(
        exact, rel=1e-7
    )


def test_a_customer_without_history_has_the_prior_as_profile() -> None:
    prior = FilterParameters(0.7, 0.58, 0.6, 87.0, spend_prior_mean=4200.0)
    record = filter_record(prior)[0]
    profile = newcomer()
    before = profile.tobytes()
    week_close(profile[0], record, 3, 1.0)
    assert profile.tobytes() == before  # nothing happens before joining
    assert p_alive(profile[0]) == 1.0
    assert expected_rate(profile[0], record) == pytest.approx(0.7 / 0.58)
    assert expected_basket(profile[0], record) == 4200.0
    assert residual_value(profile[0], record, 0.25, 26.0) == pytest.approx(
        0.7 / 0.58 * expected_survival(profile[0], record, 26.0) * 4200.0 * 0.25
    )
    for name in PROFILE.names:
        assert np.all(np.isfinite(profile[name])), name


def test_a_first_week_without_prior_baskets_still_has_a_mean_basket() -> None:
    prior = FilterParameters(0.7, 0.58, 0.6, 87.0, spend_prior_baskets=0.0, spend_prior_mean=4200.0)
    record, profile = filter_record(prior)[0], newcomer()
    assert expected_basket(profile[0], record) == 4200.0
    fold(profile[0], JOIN, 0, 0, 0, 1000)
    fold(profile[0], PURCHASE, 60, 0, 0, 3000)
    assert expected_basket(profile[0], record) == 2000.0
    assert profile["repeats"] == 1  # the basket of joining is not a repeat purchase


def test_more_purchases_a_week_than_are_counted_stay_at_the_most() -> None:
    profile = newcomer()
    fold(profile[0], JOIN, 0, 0, 0, 0)
    profile["week_purchases"] = MAX_WEEK_PURCHASES - 1
    for _ in range(3):
        fold(profile[0], PURCHASE, 60, 0, 0, 1)
    assert profile["week_purchases"] == MAX_WEEK_PURCHASES
    assert profile["repeats"] == 3


def test_more_purchases_of_a_category_than_are_counted_stay_at_the_most() -> None:
    profile = newcomer()
    fold(profile[0], JOIN, 0, 3, 0, 100)
    profile["categories"][0, 2] += MAX_CATEGORY_PURCHASES - 3
    seen = []
    for _ in range(4):
        fold(profile[0], PURCHASE, 60, 3, 0, 1)
        seen.append(int(profile["categories"][0, 2]))
    most = MAX_CATEGORY_PURCHASES
    assert seen == [most - 1, most, most, most]


def test_weeks_with_an_open_offer_and_all_purchases_in_them_are_counted() -> None:
    profile, record = newcomer(), filter_record(PRIOR)[0]
    fold(profile[0], JOIN, 0, 0, 0, 100)
    offer, bought, unread = (CONTACT, 2), (PURCHASE, 0), (OPT_OUT, 0)
    last, more = (REDEEM_OFFER, LAST_USE), (REDEEM_OFFER, 0)
    found = []
    for week, events in enumerate([
        [bought, bought],  # nothing open
        [offer, unread],  # two weeks' validity, from here
        [bought, bought],  # its second and last week, not redeemed
        [bought],  # expired
        [offer, bought, last, bought],  # used up: the rest of the week counts
        [bought],  # and no week after it
        [offer, bought, more],  # another use is left
        [bought, offer],  # renewed
        [bought],
        [bought],
    ]):  # fmt: skip
        for kind, value in events:
            fold(profile[0], kind, at(week), 1, value if kind == REDEEM_OFFER else 0, value)
        week_close(profile[0], record, week, 1.0)
        found.append((int(profile["offer_weeks"][0]), int(profile["offer_purchases"][0])))
    assert found == [
        (0, 0), (1, 0), (2, 2), (2, 2), (3, 4), (3, 4), (4, 5), (5, 6), (6, 7), (6, 7),
    ]  # fmt: skip


def test_an_offer_ends_with_the_account() -> None:
    profile, record = newcomer(), filter_record(PRIOR)[0]
    fold(profile[0], JOIN, 0, 0, 0, 100)
    fold(profile[0], CONTACT, 60, 1, 0, 8)
    fold(profile[0], CLOSE_ACCOUNT, 120, 0, 0, 0)
    for week in range(3):
        week_close(profile[0], record, week, 1.0)
    assert profile["offer_weeks"] == 1


@pytest.mark.parametrize(("weeks", "purchases"), [(MAX_OFFER_COUNT, 9), (9, MAX_OFFER_COUNT)])
def test_offer_counters_stop_together(weeks, purchases) -> None:
    profile, record = newcomer(), filter_record(PRIOR)[0]
    fold(profile[0], JOIN, 0, 0, 0, 100)
    profile["offer_weeks"], profile["offer_purchases"] = weeks - 1, purchases - 1
    for week in range(3):
        fold(profile[0], CONTACT, at(week), 1, 0, 1)
        fold(profile[0], PURCHASE, at(week), 0, 0, 100)
        week_close(profile[0], record, week, 1.0)
        assert (profile["offer_weeks"], profile["offer_purchases"]) == (weeks, purchases)


def lift_of(repeats=0, age=0.0, offer_purchases=0, offer_weeks=0) -> float:
    profile = newcomer()
    profile["joined"], profile["repeats"], profile["age"] = 0, repeats, age
    profile["offer_purchases"], profile["offer_weeks"] = offer_purchases, offer_weeks
    return offer_lift(profile[0], filter_record(FilterParameters(2.0, 4.0, 0.6, 87.0))[0])


def test_offer_lift_is_the_mean_of_its_posterior() -> None:
    # 10 - 6 + 2 purchases in 12 - 8 + 4 weeks without offers: .75 a week, so 6 in 8 weeks, which
    # 6 others tell as well as half as many known ones would.
    assert lift_of(10, 12.0, 6, 8) == pytest.approx((4 + 3) / (4 + 3))
    assert lift_of(22, 12.0, 18, 8) == pytest.approx((4 + 9) / (4 + 3))
    assert lift_of(4, 12.0, 0, 8) == pytest.approx(4 / (4 + 3))


def test_offer_lift_approaches_the_ratio_as_evidence_grows() -> None:
    lifts = [lift_of(3 * n, 2.0 * n, 2 * n, n) for n in (1, 10, 100, 10_000)]
    assert lifts == sorted(lifts)
    assert 1.0 < lifts[0] < 1.3
    assert lifts[-1] == pytest.approx(2.0, abs=0.01)


def test_offer_lift_is_1_without_offers_and_near_1_without_other_weeks() -> None:
    assert lift_of() == 1.0
    assert lift_of(500, 200.0) == 1.0
    # A brisk buyer who always had offers: nothing tells what they would buy without.
    assert 1.0 < lift_of(300, 100.0, 300, 100) < 3.0  # six times as often as the prior has it


counts = st.integers(0, 65_535)


@given(st.integers(-5, 2**31 - 1), st.floats(-1.0, 5000.0, width=32), counts, counts)
def test_offer_lift_is_finite_and_positive_whatever_the_profile_says(
    repeats, age, offer_purchases, offer_weeks
) -> None:
    found = lift_of(repeats, age, offer_purchases, offer_weeks)
    assert 0.0 < found < 1e6


def test_a_closed_account_is_not_alive() -> None:
    profile = newcomer()
    fold(profile[0], CLOSE_ACCOUNT, 0, 0, 0, 0)
    assert p_alive(profile[0]) == 0.0


def test_averages_and_contact_history_move_once_per_week() -> None:
    profile, record = newcomer(), filter_record(PRIOR)[0]
    fold(profile[0], JOIN, 0, 0, 0, 0)
    amounts = [[500, 700], [], [900]]
    fast = purchases = slow = 0.0
    for week, baskets in enumerate(amounts):
        if week != 1:
            fold(profile[0], CONTACT, at(week), 2, 1, 2)
        for share, amount in enumerate(baskets):
            fold(profile[0], PURCHASE, at(week + 0.1 * (1 + share)), 0, 0, amount)
        week_close(profile[0], record, week, 1.0)
        fast += (1 - math.exp(-1 / 4)) * (sum(baskets) - fast)
        slow += (1 - math.exp(-1 / 26)) * (sum(baskets) - slow)
        purchases += (1 - math.exp(-1 / 4)) * (len(baskets) - purchases)
    assert profile["revenue_fast"][0] == pytest.approx(fast, rel=1e-6)
    assert profile["revenue_slow"][0] == pytest.approx(slow, rel=1e-6)
    assert profile["purchases_fast"][0] == pytest.approx(purchases, rel=1e-6)
    assert profile["contacts"][0].tolist() == [0, 0b1010, 0]  # bit 1 = the week just closed
    assert contact_history(profile[0]) == 0b1010
    assert [weeks_contacted(0b1010, weeks) for weeks in (0, 1, 2, 3, 15)] == [0, 1, 1, 2, 2]
    assert profile["sent"][0].tolist() == [0, 0, 2, 0]
    assert profile["messages"][0].tolist() == [0, 2, 0]
    assert profile["offer_weeks_left"] == 1
    assert profile["revenue"] == 2100


@pytest.mark.parametrize(
    ("name", "value"), [("rate_shape", 0.0), ("keep", 0.4), ("spend_prior_mean", -1.0)]
)
def test_a_filter_parameter_out_of_range_is_named(name: str, value: float) -> None:
    values = {"rate_shape": 1.0, "rate_rate": 1.0, "dropout_shape": 1.0, "dropout_rate": 1.0}
    with pytest.raises(ValueError, match=rf"{name}={value} is outside \["):
        FilterParameters(**{**values, name: value})
