"""What customers do on average, which way each mechanism pushes, and what parameters are refused.

Sample means are compared within 5 standard errors: a false alarm in 2 million per comparison.
"""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.behaviour import (
    Stimulus,
    basket,
    basket_draw,
    begin_week,
    behaviour_record,
    drifted,
    intensities,
    realise,
)
from agents.dynamics import Dynamics
from agents.records import KINDS, STATE, TRAITS
from agents.response import MECHANISMS as MECHANISM_NAMES
from agents.response import RESPONSE_FIELDS, KindEffects, ResponseParameters
from agents.rng import MAX_RATE, block, derive_seed

KEY = derive_seed(4, "world")
N = 100_000
QUIET = Stimulus(0.0, 1.0, 0.0, -1, 0.0, -1, 0, 0, 0.0, 0, -1, -1)


def customer() -> SimpleNamespace:
    """One customer in whom every memory is present."""
    traits, state = np.zeros(1, TRAITS), np.zeros(1, STATE)
    for name, value in {
        "log_rate": math.log(0.8), "hazard": 0.05, "spend_mean": 3000, "spend_shape": 1.2,
        "response": 1.0, "openness": (0.3, 0.5, 0.2), "goal_gradient": 1.5,
        "fatigue_sensitivity": 2.0, "redemption": 0.5, "price_sensitivity": 1.25,
        "deal_learning": 1.0, "influence": 1.0, "category": (0.5, 0.25, 0.25, 0.0),
    }.items():  # fmt: skip
        traits[name] = value
    for name in (
        "fatigue", "momentum", "recent_reward", "pull_forward", "alive", "tier_change", "buzz",
        "defections", "satisfaction", "contact_weeks", "deals",
    ):  # fmt: skip
        state[name] = 1
    return SimpleNamespace(traits=traits[0], state=state[0])


def expect(stimulus: Stimulus = QUIET, dynamics: Dynamics | None = None, **response: object):
    who = customer()
    record = behaviour_record(ResponseParameters(**response), dynamics or Dynamics())
    return intensities(who.traits, who.state, stimulus, record[0])


def same_within_error(sample: np.ndarray, mean: float) -> None:
    error = sample.std(ddof=1) / math.sqrt(sample.size)
    assert abs(sample.mean() - mean) < 5 * error, (sample.mean(), mean, error)


def test_neutral_parameters_leave_rate_hazard_and_spend_at_the_traits() -> None:
    traits = customer().traits
    for stimulus in (QUIET, QUIET._replace(offer_kind=0, offer_strength=1.0, tier=2)):
        neutral = expect(stimulus._replace(goal_progress=1.0))
        assert neutral.rate == pytest.approx(math.exp(traits["log_rate"]), rel=1e-14)
        assert neutral.hazard == traits["hazard"]
        assert neutral.spend_mean == traits["spend_mean"]
        assert neutral.attention == neutral.intention == 0.0


OFFERED = QUIET._replace(offer_kind=2, offer_strength=1.0)
MECHANISMS = [
    # parameter, its value, stimulus, intensity, its factor
    ("offer_log_rate", KindEffects(free_item=0.3), OFFERED, "rate", math.exp(0.3)),
    ("offer_log_rate", KindEffects(discount=0.3), OFFERED, "rate", 1.0),
    ("offer_log_rate", KindEffects(0.3, 0.3, 0.3, 0.3), QUIET, "rate", 1.0),
    ("offer_log_rate_sd", 0.1, OFFERED, "rate", math.exp(0.1)),
    ("basket_uplift", KindEffects(free_item=0.2), OFFERED, "spend_mean", math.exp(0.2)),
    ("tier_log_rate", 0.1, QUIET._replace(tier=2), "rate", math.exp(0.2)),
    ("tier_log_hazard", -0.1, QUIET._replace(tier=2), "hazard", math.exp(-0.2)),
    ("goal_gradient", 0.2, QUIET._replace(goal_progress=0.5), "rate", math.exp(0.15)),
    ("goal_gradient_shape", 3, QUIET._replace(goal_progress=0.5), "rate", 1.0),
    ("momentum_log_rate", 0.05, QUIET, "rate", math.exp(0.05)),
    ("pull_forward", 0.05, QUIET, "rate", math.exp(-0.05)),
    ("fatigue_log_rate", -0.02, QUIET, "rate", math.exp(-0.04)),
    ("fatigue_log_hazard", 0.1, QUIET, "hazard", math.exp(0.2)),
    ("reward_log_hazard", -0.1, QUIET, "hazard", math.exp(-0.1)),
    ("offer_log_rate", KindEffects(0.3), OFFERED._replace(offer_kind=0), "rate", math.exp(0.375)),
    ("member_log_rate", 0.04, QUIET._replace(enrolled=1), "rate", math.exp(0.04)),
    ("member_log_rate", 0.04, QUIET, "rate", 1.0),
    ("tier_change_log_rate", 0.1, QUIET, "rate", math.exp(0.1)),
    ("downgrade_log_hazard", 0.1, QUIET, "hazard", 1.0),
    ("momentum_log_rate", 0.05, QUIET._replace(reward_ready=1), "rate", math.exp(0.1)),
    ("deal_waiting", 0.5, QUIET, "rate", math.exp(-0.5 * 1.25 * (1.8 / 9 - 0.1))),
    ("deal_waiting", 0.5, OFFERED._replace(offer_kind=0), "rate", 1.0),
    ("competitor_log_rate", -0.1, QUIET._replace(competitor=2), "rate", math.exp(-0.25)),
    ("competitor_log_hazard", 0.1, QUIET._replace(competitor=1), "hazard", math.exp(0.125)),
    ("contact_log_hazard", 0.5, QUIET, "hazard", math.exp(0.5)),
    ("satisfaction_log_hazard", -0.2, QUIET, "hazard", math.exp(-0.2)),
    ("neighbour_log_rate", 0.01, QUIET, "rate", math.exp(0.01)),
    ("contagion_log_hazard", 0.588, QUIET, "hazard", math.exp(0.588)),
]


@pytest.mark.parametrize(("name", "value", "stimulus", "intensity", "factor"), MECHANISMS)
def test_a_mechanism_moves_its_own_intensity_only(name, value, stimulus, intensity, factor) -> None:
    off, on = expect(stimulus), expect(stimulus, **{name: value})
    for field in ("rate", "hazard", "spend_mean"):
        expected = factor if field == intensity else 1.0
        assert getattr(on, field) / getattr(off, field) == pytest.approx(expected, rel=1e-12)


def test_the_shape_of_the_gradient_moves_its_pull_towards_the_goal() -> None:
    start = expect(goal_gradient=0.2).rate
    for shape in (1, 2, 4):
        for progress in (0.0, 0.5, 1.0):
            there = QUIET._replace(goal_progress=progress)
            pull = expect(there, goal_gradient=0.2, goal_gradient_shape=shape).rate / start
            assert pull == pytest.approx(math.exp(0.3 * progress**shape), rel=1e-12)


def test_saturation_halves_what_the_firm_does_for_a_heavy_buyer_and_nothing_else() -> None:
    centre = Dynamics(log_rate_centre=math.log(0.8) - 1.0)
    stimulus = QUIET._replace(enrolled=1, season_log_rate=0.3)
    effects = {"member_log_rate": 0.2, "neighbour_log_rate": 0.1}
    full = expect(stimulus, centre, **effects)
    half = expect(stimulus, centre, saturation=0.5, **effects)
    assert half.rate / full.rate == pytest.approx(math.exp(-0.1), rel=1e-6)
    none = expect(stimulus, centre, saturation=3.0, **effects)
    assert none.rate / full.rate == pytest.approx(math.exp(-0.2), rel=1e-6)


def test_a_category_offer_works_by_the_share_of_that_category() -> None:
    three = Dynamics(category_shares=(1 / 3, 1 / 3, 1 / 3))
    offer = {"offer_log_rate": KindEffects(free_item=0.3)}
    everywhere = expect(OFFERED, three, category_match=1.0, **offer).rate
    for category, share in enumerate((0.5, 0.25, 0.25)):
        narrow = expect(
            OFFERED._replace(offer_category=category), three, category_match=1.0, **offer
        )
        assert narrow.rate / everywhere == pytest.approx(math.exp(0.3 * (3 * share - 1)), rel=1e-6)
        blind = expect(OFFERED._replace(offer_category=category), three, **offer)
        assert blind.rate == everywhere


def test_switched_off_is_the_same_as_never_there() -> None:
    everything = ResponseParameters(
        offer_log_rate=KindEffects(0.3, 0.3, 0.3, 0.3), tier_log_rate=0.1, deal_waiting=0.3,
        opt_out_per_contact=0.1, inattention=1.0, goal_gradient=0.2,
    )  # fmt: skip
    for name in MECHANISM_NAMES:
        alone = everything.without(name)
        for parameter, about in RESPONSE_FIELDS.items():
            changed = getattr(alone, parameter) != getattr(everything, parameter)
            assert not changed or about["mechanism"] == name
    bare = behaviour_record(replace(everything, off=MECHANISM_NAMES), Dynamics())
    silent = everything.without(*MECHANISM_NAMES)
    assert bare.tobytes() == behaviour_record(silent, Dynamics()).tobytes()
    assert (silent.inattention, silent.opt_out_per_contact) == (0.0, 0.0)
    with pytest.raises(ValueError, match="off='fatige' is no mechanism"):
        ResponseParameters(off=("fatige",))
    with pytest.raises(ValueError, match=r"plugged\.mood: no mechanism has it"):
        ResponseParameters(plugged={"mood": 1.0})


def test_season_drift_and_strength_act_on_the_log_scale() -> None:
    base = expect()
    season = expect(QUIET._replace(season_log_rate=0.2, season_spend=1.3))
    assert season.rate / base.rate == pytest.approx(math.exp(0.2), rel=1e-12)
    assert season.spend_mean / base.spend_mean == pytest.approx(1.3, rel=1e-12)
    strong = expect(OFFERED._replace(offer_strength=3.0), offer_log_rate=KindEffects(free_item=0.1))
    assert strong.rate / base.rate == pytest.approx(math.exp(0.3), rel=1e-12)
    who = customer()
    who.state["drift"] = 0.5
    moved = intensities(
        who.traits, who.state, QUIET, behaviour_record(ResponseParameters(), Dynamics())[0]
    )
    assert moved.rate / base.rate == pytest.approx(math.exp(0.5), rel=1e-12)


def test_attention_is_the_openness_of_the_channel_and_intention_rises_with_the_rate() -> None:
    contacted = [expect(QUIET._replace(contact_channel=c, contact_kind=1)) for c in range(3)]
    assert [c.attention for c in contacted] == pytest.approx([0.3, 0.5, 0.2])
    flat = expect(
        QUIET._replace(contact_channel=0, contact_kind=1),
        redemption_logit=KindEffects(points=0.4), redemption_sd=2.0, redemption_rate_slope=0.0,
    )  # fmt: skip
    assert flat.intention == pytest.approx(1 / (1 + math.exp(-(0.4 + 2.0 * 0.5))))
    slopes = [
        expect(
            QUIET._replace(contact_channel=0, contact_kind=1),
            Dynamics(log_rate_centre=-2.0),
            redemption_rate_slope=slope,
        ).intention
        for slope in (0.0, 0.5, 1.0)
    ]
    assert slopes == sorted(set(slopes))


def test_over_contacted_customers_opt_out_more_often() -> None:
    assert expect(opt_out_per_contact=0.01).opt_out == pytest.approx(0.02)  # fatigue is 1


def test_the_rate_is_clamped() -> None:
    assert expect(QUIET._replace(season_log_rate=700.0)).rate == MAX_RATE


WORD = st.integers(0, 2**32 - 1).map(np.uint64)
RATE = st.floats(0.0, MAX_RATE)
HAZARD = st.floats(1e-9, 5.0)


def lived(rate: float, hazard: float, count_word: np.uint64, death_word: np.uint64):
    return realise(rate, hazard, count_word, death_word)


@given(RATE, RATE, HAZARD, HAZARD, WORD, WORD)
def test_with_the_same_luck_more_rate_and_less_hazard_never_mean_fewer_purchases(
    rate, other_rate, hazard, other_hazard, count_word, death_word
) -> None:
    worse = lived(min(rate, other_rate), max(hazard, other_hazard), count_word, death_word)
    better = lived(max(rate, other_rate), min(hazard, other_hazard), count_word, death_word)
    assert better.purchases >= worse.purchases
    assert better.alive_fraction >= worse.alive_fraction
    assert better.survives >= worse.survives


@given(RATE, HAZARD, WORD, WORD)
def test_the_rate_does_not_move_death_and_death_time_is_the_inverse_of_its_distribution(
    rate, hazard, count_word, death_word
) -> None:
    life = lived(rate, hazard, count_word, death_word)
    lifetime = -math.log1p(-(float(death_word) + 0.5) / 2**32) / hazard
    assert life.survives == (lifetime >= 1.0) or lifetime == pytest.approx(1.0)
    assert life.alive_fraction == pytest.approx(min(lifetime, 1.0), rel=1e-9, abs=1e-9)
    assert life[1:] == lived(0.0, hazard, count_word, death_word)[1:]


@pytest.mark.parametrize(("rate", "hazard"), [(0.3, 0.02), (1.2, 0.5), (8.0, 3.0)])
def test_realised_weeks_average_to_the_intensities(rate: float, hazard: float) -> None:
    words = (block(KEY, np.uint64(c), 0, 3, 0, 0) for c in range(N))
    sample = np.array([lived(rate, hazard, np.uint64(w[0]), np.uint64(w[1])) for w in words], float)
    purchases, fraction, survives = sample.T
    alive = -math.expm1(-hazard) / hazard
    same_within_error(purchases, rate * alive)
    same_within_error(fraction, alive)
    same_within_error(survives, math.exp(-hazard))
    # Poisson given the lifetime, so the variance is known too.
    second = 2 * (1 - math.exp(-hazard) * (1 + hazard)) / hazard**2
    same_within_error(purchases**2, rate * alive + rate**2 * second)


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
@pytest.mark.parametrize("mean", [900.0, 3000.0])
def test_baskets_average_to_the_mean_spend_and_keep_their_luck_when_it_moves(family, mean) -> None:
    who = customer()
    record = behaviour_record(ResponseParameters(), Dynamics(spend_family=family))[0]
    amounts = np.array(
        [
            [
                basket(m, basket_draw(who.traits, record, w, KEY), record["max_basket"])
                for m in (mean, 2 * mean)
            ]
            for w in (block(KEY, np.uint64(c), 0, 5, 0, 0) for c in range(N // 2))
        ]
    )
    assert np.abs(amounts[:, 1] - 2 * amounts[:, 0]).max() <= 1  # rounding, never below one cent
    same_within_error(amounts[:, 0].astype(float), mean)


@pytest.mark.parametrize(("mean", "cents"), [(2.49, 2), (2.5, 3), (3.5, 4), (0.3, 1)])
def test_a_basket_is_rounded_half_up_and_at_least_one_cent(mean: float, cents: int) -> None:
    who = customer()
    who.traits["spend_shape"] = 0.0  # no spread: the draw is 1
    record = behaviour_record(ResponseParameters(), Dynamics(spend_family="lognormal"))[0]
    draw = basket_draw(who.traits, record, block(KEY, np.uint64(1), 0, 5, 0, 0), KEY)
    assert draw == 1.0
    assert basket(mean, draw, record["max_basket"]) == cents


def test_a_basket_is_capped() -> None:
    record = behaviour_record(ResponseParameters(), Dynamics(max_basket=500.0))[0]
    assert basket(1e12, 1.0, record["max_basket"]) == 500
    assert basket(1e-12, 1.0, record["max_basket"]) == 1
    assert basket(0.0, 1.0, record["max_basket"]) == 0


def test_memories_fade_with_their_time_constants() -> None:
    who = customer()
    response = ResponseParameters(
        fatigue_weeks=4, momentum_weeks=2, pull_forward_weeks=1, reward_weeks=13
    )
    begin_week(who.state, behaviour_record(response, Dynamics())[0])
    for name, weeks in [
        ("fatigue", 4),
        ("momentum", 2),
        ("pull_forward", 1),
        ("recent_reward", 13),
    ]:
        assert who.state[name] == pytest.approx(math.exp(-1 / weeks), rel=1e-6)


def test_drift_is_a_stationary_ornstein_uhlenbeck_process() -> None:
    dynamics = Dynamics(drift_sd=0.8, drift_weeks=5.0)
    keep, step = dynamics.drift_keep, dynamics.drift_step
    assert keep == math.exp(-1 / 5)
    path = np.empty(N)
    drift = 1.0
    for at in range(N):
        drift = drifted(drift, keep, step, np.uint64(block(KEY, np.uint64(0), at, 3, 0, at)[2]))
        path[at] = drift
    # Batch means of 1,000 weeks, 200 time constants, are as good as independent.
    for sample, expected in ((path[50:] ** 2, 0.64), (path[51:] * path[50:-1], 0.64 * keep)):
        same_within_error(sample[: N - 1000].reshape(-1, 1000).mean(axis=1), expected)
    still = Dynamics(drift_sd=0.8)
    assert drifted(drift, still.drift_keep, still.drift_step, np.uint64(1)) == drift


@pytest.mark.parametrize(
    ("kind", "name", "value", "limits"),
    [
        (ResponseParameters, "pull_forward", -0.1, "[0.0, 2.0]"),
        (ResponseParameters, "goal_gradient", 2.5, "[-2.0, 2.0]"),
        (ResponseParameters, "reward_log_hazard", math.nan, "[-2.0, 2.0]"),
        (ResponseParameters, "fatigue_weeks", 0.0, "[0.1, 520.0]"),
        (ResponseParameters, "opt_out_per_contact", 1.5, "[0.0, 1.0]"),
        (Dynamics, "drift_sd", -1.0, "[0.0, 5.0]"),
        (Dynamics, "close_account_probability", 2.0, "[0.0, 1.0]"),
    ],
)
def test_a_parameter_out_of_range_is_named_with_its_value_and_range(
    kind, name, value, limits
) -> None:
    with pytest.raises(ValueError) as error:
        kind(**{name: value})
    assert str(error.value) == f"{name}={value!r} is outside {limits}"


@pytest.mark.parametrize("kind", KINDS)
def test_an_effect_out_of_range_is_named_with_its_kind(kind: str) -> None:
    with pytest.raises(ValueError, match=rf"offer_log_rate\.{kind}=3.0 is outside"):
        ResponseParameters(offer_log_rate=KindEffects(**{kind: 3.0}))


def test_an_unknown_spend_family_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"spend_family='weibull': choose one of .*lognormal"):
        Dynamics(spend_family="weibull")
