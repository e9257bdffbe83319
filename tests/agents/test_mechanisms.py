"""Every mechanism at the size its source gives, on single records and without luck.

The sizes are those of docs/behaviour.md (measured, stated in a source, or assumed); the rules must
turn them into exactly these changes of rate, hazard or probability. What whole populations then do
is in tests/sim/test_mechanisms.py.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from agents.behaviour import (
    Intensities,
    Stimulus,
    answers,
    begin_week,
    behaviour_record,
    cancelling,
    enrolment,
    intensities,
    joining,
    live_through,
)
from agents.dynamics import Dynamics, SubscriptionParameters, SurveyParameters
from agents.effects import category_fit
from agents.mechanisms import PLUGGED
from agents.population import GROCERY, MembershipParameters, draw_population
from agents.records import (
    DISCOUNT,
    KINDS,
    OUTCOME,
    POINTS_OFFER,
    RECOGNITION,
    STATE,
    TRAITS,
)
from agents.response import MECHANISMS, KindEffects, ResponseParameters
from agents.rng import derive_seed

QUIET = Stimulus(0.0, 1.0, 0.0, -1, 0.0, -1, 0, 0, 0.0, 0, -1, -1)
MEDIAN = np.uint64(2**31)  # a word whose normal is 0


def customer() -> SimpleNamespace:
    """Someone of ordinary traits to whom nothing has happened yet."""
    traits, state, outcome = np.zeros(1, TRAITS), np.zeros(1, STATE), np.zeros(1, OUTCOME)
    for name, value in {
        "log_rate": math.log(0.8), "hazard": 0.05, "spend_mean": 3000, "spend_shape": 1.2,
        "openness": (0.3, 0.5, 0.2), "goal_gradient": 1, "fatigue_sensitivity": 1,
        "price_sensitivity": 1, "deal_learning": 1, "influence": 1,
    }.items():  # fmt: skip
        traits[name] = value
    state["alive"] = 1
    return SimpleNamespace(traits=traits[0], state=state[0], outcome=outcome[0])


def rules(dynamics: Dynamics | None = None, **response: object) -> np.void:
    return behaviour_record(ResponseParameters(**response), dynamics or Dynamics())[0]


def expect(who: SimpleNamespace, behaviour: np.void, **stimulus: object) -> Intensities:
    return intensities(who.traits, who.state, QUIET._replace(**stimulus), behaviour)


def live(
    who: SimpleNamespace,
    behaviour: np.void,
    weeks: int = 1,
    kind: int = -1,
    contacted: bool = False,
    received: int = 0,
    **outcome: int,
) -> None:
    """Whole weeks of fading and remembering; what is named happens in each of them."""
    for name in OUTCOME.names:
        who.outcome[name] = outcome.get(name, 0)
    for _ in range(weeks):
        begin_week(who.state, behaviour)
        live_through(who.traits, who.state, who.outcome, contacted, kind, received, behaviour)


def rates(who: SimpleNamespace, behaviour: np.void, weeks: int) -> list[float]:
    """Purchase rate of the coming quiet weeks relative to the trait, as memories fade."""
    found = []
    for _ in range(weeks):
        begin_week(who.state, behaviour)
        found.append(expect(who, behaviour).rate / math.exp(who.traits["log_rate"]))
    return found


def hazards(who: SimpleNamespace, behaviour: np.void, weeks: int) -> list[float]:
    """Dropout hazard of the coming quiet weeks relative to the trait."""
    found = []
    for _ in range(weeks):
        begin_week(who.state, behaviour)
        found.append(expect(who, behaviour).hazard / float(who.traits["hazard"]))
    return found


def fading(log_effect: float, time_constant: float, weeks: int) -> object:
    """Factors of weeks 1, 2, … after an event whose effect fades exponentially."""
    return pytest.approx(
        [math.exp(log_effect * math.exp(-week / time_constant)) for week in range(1, weeks + 1)],
        rel=1e-6,
    )


def test_intervals_between_purchases_are_a_fifth_shorter_at_the_goal_than_at_the_start() -> None:
    """Kivetz, Urminsky & Zheng (2006): about 20 % from first to last stamp."""
    who, behaviour = customer(), rules(goal_gradient=0.22)
    start, half, goal = (expect(who, behaviour, goal_progress=p).rate for p in (0.0, 0.5, 1.0))
    assert start == expect(who, rules()).rate
    assert goal / start == pytest.approx(math.exp(0.22), rel=1e-12)
    assert half / start == pytest.approx(goal / half, rel=1e-12)
    assert 1 - start / goal == pytest.approx(0.1975, abs=1e-4)
    who.traits["goal_gradient"] = 2.0
    assert expect(who, behaviour, goal_progress=1.0).rate / start == pytest.approx(math.exp(0.44))


def test_momentum_lifts_buying_before_a_reward_and_for_two_weeks_after_it() -> None:
    """Dorotic et al. (2014): the direction; .05 and two weeks are assumed."""
    who, behaviour = customer(), rules(momentum_log_rate=0.05, momentum_weeks=2.0)
    before = expect(who, behaviour, reward_ready=1).rate / expect(who, behaviour).rate
    assert before == pytest.approx(math.exp(0.05))
    live(who, behaviour, received=1)
    assert rates(who, behaviour, 1) == [1.0]  # an offer redeemed is no points reward
    live(who, behaviour, received=1, rewards=1)
    assert rates(who, behaviour, 6) == fading(0.05, 2.0, 6)


def test_one_reward_of_any_kind_lowers_the_hazard_and_further_ones_do_not() -> None:
    """Verhoef (2003): a rather small effect on retention; a tenth is assumed."""
    who, behaviour = customer(), rules(reward_log_hazard=-0.1, reward_weeks=13.0)
    live(who, behaviour, received=1)
    assert hazards(who, behaviour, 26) == fading(-0.1, 13.0, 26)
    live(who, behaviour, received=5)
    assert hazards(who, behaviour, 1) == [pytest.approx(math.exp(-0.1))]


def test_reaching_a_tier_raises_buying_missing_it_lowers_buying_and_both_fade() -> None:
    """Wang et al. (2016): success raises, failure lowers; a tenth is assumed."""
    behaviour = rules(tier_change_log_rate=0.1, downgrade_log_hazard=0.2, tier_change_weeks=13.0)
    risen, fallen, fallen_too = customer(), customer(), customer()
    live(risen, behaviour, tier_change=1)
    for who in (fallen, fallen_too):
        live(who, behaviour, tier_change=-1)
    assert rates(risen, behaviour, 20) == fading(0.1, 13.0, 20)
    assert hazards(risen, behaviour, 20) == [1.0] * 20
    assert rates(fallen, behaviour, 20) == fading(-0.1, 13.0, 20)
    assert hazards(fallen_too, behaviour, 20) == fading(0.2, 13.0, 20)


def test_a_tier_held_acts_once_per_step_on_rate_and_hazard() -> None:
    who, behaviour = customer(), rules(tier_log_rate=0.04, tier_log_hazard=-0.05)
    base = expect(who, behaviour)
    for tier in (1, 2, 3):
        held = expect(who, behaviour, tier=tier)
        assert held.rate / base.rate == pytest.approx(math.exp(0.04 * tier))
        assert held.hazard / base.hazard == pytest.approx(math.exp(-0.05 * tier))


def test_each_neighbour_who_leaves_raises_the_hazard_by_four_fifths() -> None:
    """Nitzan & Libai (2011): 80 % per defecting neighbour, decaying."""
    who, behaviour = customer(), rules(contagion_log_hazard=0.588)
    base = expect(who, behaviour).hazard
    for gone in (0, 1, 2):
        who.state["defections"] = gone
        assert expect(who, behaviour).hazard / base == pytest.approx(1.8**gone, rel=1e-3)


def test_a_contact_raises_the_hazard_for_a_time_and_a_second_one_only_prolongs_it() -> None:
    """Ascarza et al. (2016): × 1.7, so that 6 % churn over three months becomes about 10 %."""
    who, behaviour = customer(), rules(contact_log_hazard=math.log(1.7), contact_weeks=13)
    live(who, behaviour, contacted=True)
    raised = hazards(who, behaviour, 30)
    assert set(np.round(raised, 9)) == {1.0, 1.7}
    lasted = raised.count(max(raised))
    assert sorted(raised, reverse=True) == raised
    live(who, behaviour, weeks=2, contacted=True)
    assert hazards(who, behaviour, 30) == raised
    weekly = -math.log(1 - 0.06) / 13
    churn = 1 - math.exp(-weekly * (13 - lasted + 1.7 * lasted))
    assert churn == pytest.approx(0.10, abs=0.004)


@pytest.mark.parametrize("weeks", [1, 4, 13])
def test_a_contact_raises_the_hazard_for_as_many_weeks_as_it_says(weeks: int) -> None:
    who, behaviour = customer(), rules(contact_log_hazard=math.log(1.7), contact_weeks=weeks)
    live(who, behaviour, contacted=True)
    raised = hazards(who, behaviour, 30)
    assert (np.array(raised) > 1.6).tolist() == [True] * weeks + [False] * (30 - weeks)


def test_members_buy_a_little_more_and_heavy_buyers_gain_least() -> None:
    """Leenheer et al. (2007): small once selection is removed. Liu (2007): heavy buyers flat."""
    centre = Dynamics(log_rate_centre=0.0)
    behaviour = rules(centre, member_log_rate=0.04, saturation=0.5)

    def gain(log_rate: float) -> float:
        who = customer()
        who.traits["log_rate"] = log_rate
        return math.log(expect(who, behaviour, enrolled=1).rate / expect(who, behaviour).rate)

    assert gain(0.0) == pytest.approx(0.04)
    assert gain(1.0) == pytest.approx(0.02)
    assert gain(-1.0) == pytest.approx(0.06)
    assert gain(2.0) == gain(5.0) == 0.0  # no room left, never a loss
    assert gain(-2.0) == pytest.approx(0.08)
    assert gain(-5.0) == pytest.approx(0.08)  # at most twice the effect


def test_redeemed_promotions_borrow_from_the_weeks_to_come() -> None:
    who, behaviour = customer(), rules(pull_forward=0.05, pull_forward_weeks=2.0)
    who.state["pull_forward"] = 1.0
    assert rates(who, behaviour, 8) == fading(-0.05, 2.0, 8)
    who.state["pull_forward"] = 3.0
    assert rates(who, behaviour, 8) == fading(-0.15, 2.0, 8)


def test_fatigue_adds_up_over_contacts_that_got_attention_and_fades() -> None:
    behaviour = rules(fatigue_log_rate=-0.05, fatigue_log_hazard=0.1, fatigue_weeks=4.0)
    unopened, opened, sensitive = customer(), customer(), customer()
    sensitive.traits["fatigue_sensitivity"] = 2.0
    live(unopened, behaviour, weeks=3, contacted=True)
    for who in (opened, sensitive):
        live(who, behaviour, weeks=3, contacted=True, kind=POINTS_OFFER)
    level = sum(math.exp(-age / 4.0) for age in (0, 1, 2))
    assert rates(unopened, behaviour, 3) == [1.0] * 3
    assert rates(opened, behaviour, 10) == fading(-0.05 * level, 4.0, 10)
    assert hazards(sensitive, behaviour, 10) == fading(0.2 * level, 4.0, 10)


def test_waiting_for_deals_follows_the_mean_of_a_beta_belief_computed_by_hand() -> None:
    """Prior worth 8 weeks at .1; each week adds to one side, both sides fade over 26 weeks."""
    who, behaviour = customer(), rules(deal_waiting=0.4, deal_prior_weeks=8, deal_memory_weeks=26)
    who.traits["price_sensitivity"], who.traits["deal_learning"] = 1.5, 0.5
    seen = unseen = 0.0
    keep = math.exp(-1 / 26)
    base = math.exp(who.traits["log_rate"])
    path = []
    for week in range(60):
        discounted = week < 20 and week % 2 == 0
        live(who, behaviour, kind=DISCOUNT if discounted else POINTS_OFFER)
        seen, unseen = keep * seen + 0.5 * discounted, keep * unseen + 0.5 * (not discounted)
        belief = (0.8 + seen) / (8 + seen + unseen)
        full_price = expect(who, behaviour).rate / base
        assert full_price == pytest.approx(math.exp(-0.4 * 1.5 * max(belief - 0.1, 0)), rel=1e-6)
        assert expect(who, behaviour, offer_kind=POINTS_OFFER).rate == full_price * base
        assert expect(who, behaviour, offer_kind=DISCOUNT).rate == base
        path.append(full_price)
    assert path[19] < path[5] < path[0] < 1  # learned
    assert path[19] < path[25] < path[40] <= path[59] == 1  # forgotten again, slowly


def test_no_discount_at_all_leaves_full_price_buying_where_the_log_had_it() -> None:
    who, behaviour = customer(), rules(deal_waiting=0.4)
    live(who, behaviour, weeks=100)
    assert rates(who, behaviour, 3) == [1.0] * 3


def test_satisfaction_adds_up_what_happened_fades_and_moves_the_hazard() -> None:
    behaviour = rules(
        satisfaction_log_hazard=-0.2, satisfaction_weeks=13.0, satisfaction_reward=0.3,
        satisfaction_recognition=0.1, satisfaction_contact=-0.05, satisfaction_downgrade=-0.5,
    )  # fmt: skip
    for happened, change in (
        ({"received": 1, "rewards": 1}, 0.3),
        ({"received": 2}, 0.6),
        ({"kind": RECOGNITION}, 0.1 - 0.05),
        ({"kind": DISCOUNT}, -0.05),
        ({"kind": DISCOUNT, "weeks": 2}, -0.05 * (math.exp(-1 / 13) + math.exp(-1 / 4) + 1)),
        ({"tier_change": -1}, -0.5),
        ({"tier_change": 1}, 0.0),
        ({"contacted": True}, 0.0),
    ):
        who = customer()
        live(who, behaviour, **happened)
        assert who.state["satisfaction"] == pytest.approx(change, rel=1e-6), happened
        assert hazards(who, behaviour, 15) == fading(-0.2 * change, 13.0, 15), happened
        assert rates(who, behaviour, 3) == [1.0] * 3


def test_rivals_take_purchases_and_customers_from_the_price_sensitive_most() -> None:
    who, behaviour = customer(), rules(competitor_log_rate=-0.1, competitor_log_hazard=0.2)
    base = expect(who, behaviour)
    for sensitivity in (0.5, 2.0):
        who.traits["price_sensitivity"] = sensitivity
        for strength in (0.0, 1.0, 1.5):
            hit = expect(who, behaviour, competitor=strength)
            push = sensitivity * strength
            assert hit.rate / base.rate == pytest.approx(math.exp(-0.1 * push))
            assert hit.hazard / base.hazard == pytest.approx(math.exp(0.2 * push))


def test_buzz_lifts_buying_and_brings_prospects_up_to_three_rewards_heard_of() -> None:
    who = customer()
    behaviour = rules(Dynamics(join_hazard=0.001), neighbour_log_rate=0.02, referral_hazard=0.005)
    base = expect(who, behaviour).rate
    for buzz, counted in ((0.0, 0.0), (1.0, 1.0), (2.5, 2.5), (3.0, 3.0), (50.0, 3.0)):
        who.state["buzz"] = buzz
        assert expect(who, behaviour).rate / base == pytest.approx(math.exp(0.02 * counted))
        assert joining(who.state, behaviour) == (0.001, pytest.approx(0.005 * counted))


def test_whoever_buys_more_enrols_sooner_and_redeems_more_readily() -> None:
    """Slope .68 of the redemption logit: measured on Complete Journey; .5 of enrolment: assumed."""
    centre = Dynamics(log_rate_centre=math.log(0.8))
    behaviour = rules(
        centre, enrol_probability=0.02, enrol_rate_slope=0.5, redemption_logit=KindEffects(-2.7),
        redemption_sd=2.08, redemption_rate_slope=0.68,
    )  # fmt: skip

    def logit(who: SimpleNamespace) -> float:
        share = expect(who, behaviour, contact_channel=0, contact_kind=DISCOUNT).intention
        return math.log(share / (1 - share))

    who = customer()
    assert enrolment(who.traits, who.state, behaviour) == pytest.approx(0.02, rel=1e-6)
    assert logit(who) == pytest.approx(-2.7, rel=1e-6)
    who.traits["redemption"] = 1.0
    assert logit(who) == pytest.approx(-2.7 + 2.08, rel=1e-6)
    for moved in ("log_rate", "drift"):
        heavy = customer()
        part = heavy.traits if moved == "log_rate" else heavy.state
        part[moved] += 1.0
        assert enrolment(heavy.traits, heavy.state, behaviour) == pytest.approx(
            0.02 * math.exp(0.5), rel=1e-6
        )
        assert logit(heavy) == pytest.approx(-2.7 + 0.68, rel=1e-6)


def test_attention_is_openness_per_channel_or_part_of_the_way_to_everybody() -> None:
    who = customer()
    for inattention in (0.0, 0.5, 1.0):
        behaviour = rules(inattention=inattention)
        seen = [
            expect(who, behaviour, contact_channel=c, contact_kind=0).attention for c in (0, 1, 2)
        ]
        assert seen == pytest.approx([1 - inattention * (1 - o) for o in (0.3, 0.5, 0.2)], rel=1e-6)
    assert expect(who, behaviour).attention == 0.0


def test_opting_out_is_likelier_the_more_contacts_there_were() -> None:
    who, behaviour = customer(), rules(opt_out_per_contact=0.002)
    assert expect(who, behaviour).opt_out == pytest.approx(0.002)
    live(who, behaviour, kind=DISCOUNT, contacted=True)
    assert expect(who, behaviour).opt_out == pytest.approx(0.004)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_an_opened_offer_acts_by_its_kind_strength_and_the_customers_own_response(kind) -> None:
    sizes = KindEffects(0.10, 0.06, 0.06, 0.02)
    behaviour = rules(
        offer_log_rate=sizes, offer_log_rate_sd=0.10, basket_uplift=KindEffects(0.046)
    )
    who = customer()
    base = expect(who, behaviour)
    for response, strength, sensitivity in ((0.0, 1.0, 1.0), (1.3, 2.0, 1.0), (-0.7, 1.0, 1.5)):
        who.traits["response"][kind] = response
        who.traits["price_sensitivity"] = sensitivity
        strong = strength * (sensitivity if kind == DISCOUNT else 1.0)
        offered = expect(who, behaviour, offer_kind=kind, offer_strength=strength)
        effect = strong * (sizes.values[kind] + 0.10 * response)
        assert offered.rate / base.rate == pytest.approx(math.exp(effect), rel=1e-6)
        uplift = 0.046 * strong if kind == DISCOUNT else 0.0
        assert offered.spend_mean / base.spend_mean == pytest.approx(math.exp(uplift), rel=1e-6)
        assert offered.hazard == base.hazard


def test_a_category_suits_customers_in_proportion_to_what_they_buy_of_it() -> None:
    """Fit is 1 on average: over a customer's categories, and over customers where all are alike."""
    membership = MembershipParameters(
        category_shares={"food": 1 / 3, "home": 1 / 3, "toys": 1 / 3}, category_concentration=2.0
    )
    customers = draw_population(GROCERY, 20_000, derive_seed(5, "population"), membership)
    for match in (0.0, 0.5, 1.0):
        behaviour = rules(Dynamics(category_shares=(1 / 3, 1 / 3, 1 / 3)), category_match=match)
        fit = np.array(
            [[category_fit(row, c, behaviour) for c in range(3)] for row in customers.traits]
        )
        np.testing.assert_allclose(fit.mean(axis=1), 1.0, rtol=1e-6)
        # Five standard errors: a false alarm in 2 million.
        allowed = 5 * fit.std(axis=0) / math.sqrt(customers.n) + 1e-12
        assert (abs(fit.mean(axis=0) - 1.0) < allowed).all()
        own = customers.traits["category"][:, :3] * 3.0
        np.testing.assert_allclose(fit, 1 + match * (own - 1), atol=1e-6)
        assert category_fit(customers.traits[0], -1, behaviour) == 1.0
    assert fit.std() > 0.3  # tastes do differ


def test_fit_is_one_on_average_over_customers_of_popular_and_of_rare_categories() -> None:
    membership = MembershipParameters(category_shares={"food": 0.6, "home": 0.3, "toys": 0.1})
    customers = draw_population(GROCERY, 20_000, derive_seed(5, "population"), membership)
    behaviour = rules(Dynamics(category_shares=(0.6, 0.3, 0.1)), category_match=1.0)
    for category in range(3):
        fit = [category_fit(row, category, behaviour) for row in customers.traits[:5000]]
        assert np.mean(fit) == pytest.approx(1.0, abs=0.05)


def test_habit_keeps_subscribers_from_cancelling() -> None:
    subscription = SubscriptionParameters(fee=5.0, cancel_probability=0.05, habit_effect=0.5)
    who, behaviour = customer(), rules(Dynamics(subscription=subscription))
    assert cancelling(who.state, behaviour) == pytest.approx(0.05)
    live(who, behaviour, weeks=52, purchases=2)  # the habit is a four-week average of visits
    assert who.state["habit"] == pytest.approx(2.0, rel=1e-4)
    assert cancelling(who.state, behaviour) == pytest.approx(0.05 * math.exp(-1.0), rel=1e-4)
    live(who, behaviour, weeks=4)
    assert who.state["habit"] == pytest.approx(2.0 / math.e, rel=1e-4)


@pytest.mark.parametrize(
    ("satisfaction", "nps", "csat"),
    [(0.0, 8, 4), (0.9, 9, 4), (-1.0, 6, 3), (2.0, 10, 5), (9.0, 10, 5), (-9.0, 0, 1)],
)
def test_answers_are_the_mean_plus_slope_times_satisfaction_rounded_and_clipped(
    satisfaction, nps, csat
) -> None:
    """7.5 + 1.5 s and 3.9 + .6 s, without noise."""
    who, behaviour = customer(), rules(Dynamics(survey=SurveyParameters(every_weeks=13)))
    who.state["satisfaction"] = satisfaction
    assert answers(who.state, behaviour, (MEDIAN,) * 4) == (nps, csat)


# What each mechanism reads of the customer (or of the week) and of nobody else's business.
READS = {
    "offers": ("response",),
    "membership": ("enrolled",),
    "tier": ("tier",),
    "tier_change": ("tier_change",),
    "goal_gradient": ("goal_gradient", "goal_progress"),
    "momentum": ("momentum", "reward_ready"),
    "pull_forward": ("pull_forward",),
    "fatigue": ("fatigue_sensitivity",),
    "deal_waiting": ("deals", "no_deals"),
    "reward_retention": ("recent_reward",),
    "proactive_contact": ("contact_weeks",),
    "satisfaction": ("satisfaction",),
    "competitor": ("competitor",),
    "neighbours": ("buzz",),
    "contagion": ("defections",),
    "redemption": ("redemption",),
    "attention": ("openness",),
    "category": ("category", "offer_category"),
}
EVERYTHING = ResponseParameters(
    offer_log_rate=KindEffects(0.1, 0.06, 0.06, 0.02), offer_log_rate_sd=0.1, category_match=1.0,
    basket_uplift=KindEffects(0.046, 0.046, 0.046, 0.046), member_log_rate=0.04, tier_log_rate=0.04,
    tier_change_log_rate=0.1, downgrade_log_hazard=0.1, goal_gradient=0.22, momentum_log_rate=0.05,
    saturation=0.3, pull_forward=0.05, fatigue_log_rate=-0.05, fatigue_log_hazard=0.05,
    deal_waiting=0.3, reward_log_hazard=-0.1, contact_log_hazard=0.53, satisfaction_log_hazard=-0.1,
    competitor_log_rate=-0.1, competitor_log_hazard=0.1, neighbour_log_rate=0.02,
    contagion_log_hazard=0.588,
)  # fmt: skip


@pytest.mark.parametrize("mechanism", READS)
def test_a_mechanism_switched_off_no_longer_reads_what_it_acts_on(mechanism: str) -> None:
    def outcomes(response: ResponseParameters, shift: int) -> Intensities:
        who = customer()
        for name in ("buzz", "defections", "satisfaction", "momentum", "deals", "fatigue"):
            who.state[name] = 0.5
        who.traits["category"] = (0.5, 0.2, 0.3, 0.0)
        stimulus = QUIET._replace(
            offer_kind=POINTS_OFFER, offer_strength=1.0, offer_category=0, contact_channel=0,
            contact_kind=POINTS_OFFER, goal_progress=0.5, competitor=1.0,
        )  # fmt: skip
        for name in READS[mechanism]:
            if name in Stimulus._fields:
                stimulus = stimulus._replace(**{name: getattr(stimulus, name) + 2 * shift})
            elif name in TRAITS.names:
                who.traits[name] += 0.1 * shift
            else:
                who.state[name] += -2 * shift if name == "tier_change" else 2 * shift
        return intensities(
            who.traits, who.state, stimulus,
            behaviour_record(response, Dynamics(category_shares=(1 / 3, 1 / 3, 1 / 3)))[0],
        )  # fmt: skip

    off = EVERYTHING.without(mechanism)
    never = 1e-15  # no uniform is that small
    assert outcomes(off, 1) == pytest.approx(outcomes(off, 0), rel=0, abs=never)
    assert outcomes(EVERYTHING, 1) != outcomes(EVERYTHING, 0)


def test_every_mechanism_of_the_intensities_is_checked_above() -> None:
    # Those left act where an offer is used, a prospect joins or a member enrols, or on what a
    # mechanism above already does.
    elsewhere = {"basket_uplift", "enrolment", "saturation", "opt_out", "referral"}
    plugged = {one.name for one in PLUGGED}
    assert set(READS) | elsewhere == set(MECHANISMS) - plugged
