"""Changes of a running programme: what may change, who keeps what, and that the books balance.

Each rule is tried on a market, and each fails here when its code is taken out.
"""

from dataclasses import replace

import numpy as np
import pytest

from agents.rng import derive_seed
from sim.goalposts import Goalposts
from sim.kept_terms import own_prices, own_thresholds
from sim.market import LoyaltyMarket
from sim.notices import Notices
from sim.programme import ProgrammeParameters, Reward, Tier
from sim.redesign import change_rules, check_change

QUARTER = 13
PROGRAMME = ProgrammeParameters(
    "tiered",
    active=True,
    rewards=(Reward("mug", 100, 1.0), Reward("dinner", 400, 4.0)),
    tiers=(Tier("base", 0), Tier("silver", 1000, 1.25), Tier("gold", 2000, 1.5)),
    tier_basis="spend",
    pending_weeks=0,
    expiry_quarters=0,
)


def terms(
    thresholds=(1000, 2000), multipliers=(1.25, 1.5), prices=(100, 400), per_unit=1.0
) -> ProgrammeParameters:
    """The programme with other terms."""
    tiers = [PROGRAMME.tiers[0]]
    for tier, threshold, multiplier in zip(
        PROGRAMME.tiers[1:], thresholds, multipliers, strict=True
    ):
        tiers.append(replace(tier, threshold=threshold, multiplier=multiplier))
    rewards = [
        replace(reward, points_price=price)
        for reward, price in zip(PROGRAMME.rewards, prices, strict=True)
    ]
    return replace(PROGRAMME, tiers=tuple(tiers), rewards=tuple(rewards), points_per_unit=per_unit)


class Programme:
    """One member under rules that change; amounts are set by hand."""

    def __init__(self, world, population, enrolled, goalposts: Goalposts) -> None:
        self.member = enrolled(**_rules(PROGRAMME))
        self.rules = world._replace(programme=PROGRAMME).rules()
        self.goalposts = goalposts
        self.customers = population(1)
        self.account, self.profile = self.customers.account[0], self.customers.profile[0]
        self.account["enrolled"] = 1
        self.member.account, self.member.profile = self.account, self.profile
        self._follow()

    def _follow(self) -> None:
        self.member.rules = self.rules["programme"][0]

    def change(self, programme: ProgrammeParameters, week: int) -> "Programme":
        change_rules(self.rules, self.customers, programme, self.goalposts, week)
        self._follow()
        return self

    def stand(self, tier: int = 0, spent: float = 0, points: int = 0) -> "Programme":
        """Tier, amount that counts in this quarter (currency units) and points."""
        self.account["tier"] = self.profile["tier"] = tier
        self.profile["qualifying"] = round(spent * 100)
        self.account["qualifying"] = 0
        self.profile["points"] = self.account["lots"][0] = points
        return self

    def close(self, weeks, spent: float | None = None) -> int:
        """Close weeks with the same amount counting throughout; returns the tier."""
        for week in weeks:
            if spent is not None:
                self.profile["qualifying"] = round(spent * 100)
                self.account["qualifying"] = 0
            self.member.close(week)
        return int(self.account["tier"])


def _rules(programme: ProgrammeParameters) -> dict:
    own = {name: getattr(programme, name) for name in programme.__dataclass_fields__}
    del own["active"]
    return own


@pytest.fixture
def running(world, population, enrolled):
    """Factory of ``Programme`` under given goalposts."""

    def start(**goalposts) -> Programme:
        return Programme(world, population, enrolled, Goalposts(**goalposts))

    return start


# ------------------------------------------------------------------------------------ thresholds


@pytest.mark.parametrize(
    ("spent", "close_share", "silver"),
    [(800, 0.2, True), (799, 0.2, False), (990, 0.0, False), (0, 1.0, True)],
)
def test_who_is_close_to_a_threshold_that_rises_keeps_the_old_one(
    running, spent, close_share, silver
) -> None:
    programme = running(close_share=close_share).stand(spent=spent)
    programme.change(terms(thresholds=(1500, 2500)), week=13)
    assert programme.close(range(13, 20), spent=1000) == int(silver)


def test_an_old_threshold_counts_for_the_next_tier_only(running) -> None:
    programme = running().stand(spent=900)
    programme.change(terms(thresholds=(1500, 2500)), week=13)
    assert programme.close([13], spent=2100) == 1
    assert programme.close([14], spent=2499) == 1
    assert programme.close([15], spent=2500) == 2


def test_an_old_threshold_is_kept_for_the_grandfathering_weeks_and_no_longer(running) -> None:
    for week, tier in ((13 + 51, 1), (13 + 52, 0)):
        programme = running().stand(spent=900)
        programme.change(terms(thresholds=(1500, 2500)), week=13)
        programme.close(range(13, week), spent=900)
        assert programme.close([week], spent=1200) == tier


def test_nobody_loses_a_tier_because_its_threshold_rose(running) -> None:
    programme = running(close_share=0.0).stand(tier=2, spent=2000)
    programme.change(terms(thresholds=(1500, 2500)), week=13)
    reviews = range(25, 13 + 52, QUARTER)
    for review in reviews:
        assert programme.close([review], spent=2000) == 2
    assert programme.close([13 + 52 + 12], spent=2000) == 1


def test_a_tier_that_was_not_deserved_before_is_lost_all_the_same(running) -> None:
    programme = running().stand(tier=2, spent=1200)
    programme.change(terms(thresholds=(1500, 2500)), week=13)
    assert programme.close([25], spent=1200) == 1  # silver by its old threshold
    assert programme.close([38], spent=900) == 0


def test_a_tier_is_held_by_the_lowest_threshold_of_the_last_year(running) -> None:
    programme = running(close_share=0.0).stand(tier=1, spent=1000)
    for at, threshold in enumerate((1200, 1400, 1600, 1800)):
        programme.change(terms(thresholds=(threshold, 4000)), week=13 + 13 * at)
        assert programme.close([13 + 13 * at + 12], spent=1000) == 1
    # From week 65 the first worsening counts: what was 1,200 until week 26 holds for those above.
    programme.change(terms(thresholds=(2000, 4000)), week=65)
    assert programme.close([77], spent=1200) == 1
    assert programme.close([90], spent=1200) == 0


def test_a_fifth_worsening_within_a_year_is_refused(running) -> None:
    programme = running()
    for at in range(4):
        programme.change(terms(thresholds=(1100 + at, 2000)), week=13 + at)
    with pytest.raises(ValueError, match="grandfathering_weeks=52"):
        programme.change(terms(thresholds=(1200, 2000)), week=17)
    programme.change(terms(thresholds=(1200, 2000)), week=13 + 52)


def test_lower_thresholds_hold_at_once(running) -> None:
    programme = running().stand(spent=850)
    programme.change(terms(thresholds=(800, 2000)), week=13)
    assert programme.account["kept"] == 0
    assert programme.close([13], spent=850) == 1


# --------------------------------------------------------------------------- prices, multipliers


@pytest.mark.parametrize(("points", "close"), [(79, False), (80, True), (100, True)])
def test_who_saves_for_a_reward_that_gets_dearer_gets_it_once_at_the_old_price(
    running, points, close
) -> None:
    programme = running().stand(points=points)
    programme.change(terms(prices=(150, 400)), week=13)
    programme.stand(points=100)
    assert own_prices(programme.customers, programme.rules["programme"])[0, 0] == (
        100 if close else 150
    )
    programme.member.redeem(13)
    assert programme.profile["points"] == (0 if close else 100)
    programme.stand(points=149)
    programme.member.redeem(14)
    assert programme.profile["points"] == 149
    programme.stand(points=150)
    programme.member.redeem(15)
    assert programme.profile["points"] == 0


def test_pending_points_count_as_saved(running) -> None:
    programme = running().stand(points=50)
    programme.account["pending"][0] = 30
    programme.change(terms(prices=(150, 400)), week=13)
    assert programme.account["kept"] > 0


def test_an_old_price_lapses(running) -> None:
    programme = running().stand(points=90)
    programme.change(terms(prices=(150, 400)), week=13)
    programme.close(range(13, 64))
    assert programme.account["kept"] > 0
    programme.close([64])
    assert programme.account["kept"] == 0


def test_the_way_to_a_reward_is_measured_by_the_price_that_is_kept(running) -> None:
    from sim.points import goal_progress, reward_ready

    programme = running().stand(points=90)
    programme.change(terms(prices=(150, 400)), week=13)
    rules = programme.rules["programme"][0]
    assert goal_progress(programme.account, programme.profile, rules) == 0.9
    programme.stand(points=100)
    assert reward_ready(programme.account, programme.profile, rules)
    stranger = programme.account.copy()
    stranger["kept"] = 0
    assert goal_progress(stranger, programme.profile, rules) == 100 / 150
    assert not reward_ready(stranger, programme.profile, rules)


def test_members_of_a_tier_keep_its_multiplier_and_newcomers_do_not(running) -> None:
    old, new = (running().stand(tier=tier, spent=1500) for tier in (1, 0))
    for programme in (old, new):
        programme.change(terms(multipliers=(1.1, 1.5)), week=13)
        programme.stand(tier=1, spent=1500)
        programme.member.spend(13, 10_000)
    assert old.account["pending"].sum() == 125
    assert new.account["pending"].sum() == 110
    old.close(range(13, 65), spent=1500)
    before = int(old.member.outcome["points_earned"])
    old.member.spend(65, 10_000)
    assert old.member.outcome["points_earned"] - before == 110


def test_a_closed_account_keeps_nothing(running) -> None:
    programme = running().stand(points=90)
    programme.account["closed"] = 1
    programme.change(terms(prices=(150, 400)), week=13)
    assert programme.account["kept"] == 0


# ------------------------------------------------------------------------------- what may change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"expiry_quarters": 2}, "expiry_quarters=2"),
        ({"rewards": (Reward("mug", 100, 2.0), Reward("dinner", 400, 4.0))}, "rewards="),
        ({"tiers": PROGRAMME.tiers[:2]}, "tiers="),
        ({"breakage": 0.9}, "breakage=0.9"),
    ],
)
def test_other_fields_cannot_change(change, named) -> None:
    with pytest.raises(ValueError, match=named):
        check_change(PROGRAMME, replace(PROGRAMME, **change))


def test_the_price_of_what_is_ordered_ahead_in_any_number_is_fixed() -> None:
    rewards = (Reward("stamp", 10, 1.0, multiple=True),)
    before = replace(PROGRAMME, redemption_weeks=2, rewards=rewards)
    after = replace(before, rewards=(replace(rewards[0], points_price=20),))
    with pytest.raises(ValueError, match="points_price=20"):
        check_change(before, after)


@pytest.mark.parametrize(
    ("name", "value"),
    [("notice_weeks", -1), ("close_share", 1.1), ("grandfathering_weeks", 53)],
)
def test_goalposts_out_of_range_are_named(name, value) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Goalposts(**{name: value})


# --------------------------------------------------------------------------------------- notices


def test_worse_terms_wait_for_the_notice_period() -> None:
    notices = Notices(PROGRAMME, Goalposts(notice_weeks=13))
    worse = terms(prices=(150, 400))
    notices.announce(worse, week=26)
    assert notices.due(38) == ()
    assert notices.in_force == PROGRAMME
    assert notices.due(39) == (worse,)
    assert notices.in_force == worse
    assert notices.pending == ()


def test_better_terms_hold_at_once_and_the_rest_of_a_change_waits() -> None:
    notices = Notices(PROGRAMME, Goalposts())
    mixed = terms(thresholds=(900, 2500), prices=(150, 300), per_unit=1.2)
    notices.announce(mixed, week=0)
    (now,) = notices.due(0)
    assert now == terms(thresholds=(900, 2000), prices=(100, 300), per_unit=1.2)
    assert notices.due(13) == (mixed,)


def test_better_terms_can_be_made_to_wait_too() -> None:
    notices = Notices(PROGRAMME, Goalposts(notice_weeks=4), improve_at_once=False)
    notices.announce(terms(per_unit=2.0), week=0)
    assert notices.due(3) == ()
    assert notices.due(4) == (terms(per_unit=2.0),)


def test_a_change_taken_back_in_time_never_happens() -> None:
    notices = Notices(PROGRAMME, Goalposts())
    notices.announce(terms(prices=(150, 400)), week=0)
    notices.announce(PROGRAMME, week=6)
    assert notices.pending == ()
    assert notices.latest == PROGRAMME


def test_what_was_announced_before_is_not_made_worse_before_its_own_notice() -> None:
    notices = Notices(PROGRAMME, Goalposts())
    notices.announce(terms(prices=(150, 400)), week=0)
    notices.announce(terms(prices=(120, 400), thresholds=(1500, 2000)), week=6)
    assert notices.due(13) == (terms(prices=(120, 400)),)
    assert notices.due(19) == (terms(prices=(120, 400), thresholds=(1500, 2000)),)


# ---------------------------------------------------------------------------------------- market


@pytest.fixture
def market(society, population):
    """Factory of a market with everything on after half a year."""

    def start(mode="engine", n=400) -> LoyaltyMarket:
        own = LoyaltyMarket(society, population(n), derive_seed(3, "world"), mode=mode)
        own.advance(26)
        return own

    return start


def harder(market: LoyaltyMarket, factor: float) -> ProgrammeParameters:
    """Prices and thresholds times ``factor``, multipliers lower."""
    programme = market.world.programme
    return replace(
        programme,
        tiers=tuple(
            replace(
                tier,
                threshold=tier.threshold * factor,
                multiplier=max(1.0, tier.multiplier - 0.1),
            )
            for tier in programme.tiers
        ),
        rewards=tuple(
            replace(reward, points_price=round(reward.points_price * factor))
            for reward in programme.rewards
        ),
    )


def test_the_books_balance_through_changes_and_revaluations(market) -> None:
    own = market()
    change = own.ledger.liability
    own.change_programme(harder(own, 1.5))
    revalued = own.ledger.liability - change
    assert revalued < 0
    assert own.ledger.imbalances(own.customers) == {}
    own.advance(13)
    own.change_programme(harder(own, 0.5))
    own.advance(40)
    own.finish()
    frame = own.datacollector.get_model_vars_dataframe()
    assert frame["liability_change"].sum() == own.ledger.liability
    untouched = market()
    untouched.step()
    assert own.world.programme != untouched.world.programme


def test_a_price_rise_releases_nothing_owed_to_those_who_keep_the_old_price(market) -> None:
    own = market()
    raised = replace(
        own.world.programme,
        rewards=tuple(
            replace(reward, points_price=reward.points_price * 2)
            for reward in own.world.programme.rewards
        ),
    )
    old, cheapest = own.world.programme.liability_per_point, own.world.programme.rewards[0]
    own.change_programme(raised)
    new = own.world.programme.liability_per_point
    account, profile = own.customers.account, own.customers.profile
    points = profile["points"].astype(np.int64) + account["pending"].sum(axis=1, dtype=np.int64)
    published = int((points * new).sum())
    keeping = account["kept"] > 0
    assert 20 < keeping.sum() < own.customers.n - 20
    # Nobody is owed more than before, and who is close to the cheapest reward no less for it.
    owed = own.ledger.liability
    assert published < owed <= int((points * old).sum())
    close = keeping & (points >= 0.8 * cheapest.points_price)
    least = (np.minimum(points, cheapest.points_price)[close] * (old - new)).sum()
    assert owed - published >= least - close.sum()
    assert own.ledger.imbalances(own.customers) == {}


def test_what_is_owed_for_kept_prices_ends_with_them_and_steps_agree_with_advance(market) -> None:
    one, other = market(), market()
    for own in (one, other):
        own.change_programme(harder(own, 2.0))
    assert one.ledger.kept_liability > 0
    owed = []
    for _ in range(52):
        one.step()
        owed.append(one.ledger.kept_liability)
        assert one.ledger.imbalances(one.customers) == {}
    assert owed[0] > owed[25] > 0
    assert owed[-1] == 0
    other.advance(52)
    assert other.ledger == one.ledger
    frames = [own.datacollector.get_model_vars_dataframe() for own in (one, other)]
    assert (frames[0]["liability_change"] == frames[1]["liability_change"]).all()


def test_mesa_and_engine_agree_after_a_change(market) -> None:
    one, other = market(n=60), market("agents", n=60)
    for own in (one, other):
        own.change_programme(harder(own, 1.3))
        own.advance(14)
    assert (one.customers.account["kept"] > 0).any()
    for mine, theirs in zip(one.customers, other.customers, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_a_change_to_the_same_terms_changes_nothing(market) -> None:
    one, other = market(), market()
    one.change_programme(replace(one.world.programme))
    for own in (one, other):
        own.advance(13)
    for mine, theirs in zip(one.customers, other.customers, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_nobody_falls_for_a_year_above_the_old_threshold_and_who_was_close_rises_by_it(
    society, population
) -> None:
    world = society._replace(
        programme=replace(PROGRAMME, tiers=terms(thresholds=(150, 300)).tiers, window_quarters=2)
    )
    own, fixed = (
        LoyaltyMarket(world, population(2_000), derive_seed(1, "world")) for _ in range(2)
    )
    for each in (own, fixed):
        each.advance(39)
    own.change_programme(replace(world.programme, tiers=terms(thresholds=(250, 600)).tiers))
    old = np.array([0, 15_000, 30_000])
    account, profile = own.customers.account, own.customers.profile
    promised = (account["kept"] & np.uint32(7)).astype(np.int64)
    waiting = promised > 0
    assert waiting.sum() > 20
    fell = rose = 0
    for _ in range(52):
        before = account["tier"].astype(np.int64)
        own.step()
        now = account["tier"].astype(np.int64)
        there = account["closed"] == 0
        lost = there & (now < before)
        assert (profile["qualifying"][lost] < old[before[lost]]).all()
        due = there & waiting & (profile["qualifying"] >= old[promised])
        assert (now[due] >= promised[due]).all()
        waiting &= ~due
        fell, rose = fell + int(lost.sum()), rose + int(due.sum())
    assert fell > 20
    assert rose > 20
    own.advance(13)
    fixed.advance(39 + 13)
    assert own.customers.account["tier"].sum() < fixed.customers.account["tier"].sum()


def test_own_thresholds_tell_what_holds_for_each_member(running) -> None:
    programme = running().stand(spent=900)
    programme.change(terms(thresholds=(1500, 2500)), week=13)
    rules = programme.rules["programme"]
    assert own_thresholds(programme.customers, rules)[0] == 100_000
    programme.stand(tier=2)
    assert own_thresholds(programme.customers, rules)[0] == 0
