"""The fold over emitted events is the fold inside the simulator, byte for byte."""

from dataclasses import replace

import numpy as np
import pytest

from agents.profile import (
    CLOSE_ACCOUNT,
    CONTACT,
    JOIN,
    LAST_USE,
    PURCHASE,
    QUALIFY,
    REDEEM_OFFER,
    TIER,
    EventKind,
    fold,
    week_close,
)
from agents.records import EVENT, MAX_WEEKS, PROFILE, SECONDS_PER_WEEK, Customers
from agents.rng import derive_seed
from sim.market import FirmView, LoyaltyMarket
from sim.programme import Tier
from sim.replay import replay
from sim.world import World

N, WEEKS = 400, 60


class EveryThirdWeek:
    def decide(self, view: FirmView) -> np.ndarray:
        turn = view.customer_id.astype(np.int64) + view.week
        return np.where((view.account["offer"] == 0) & (turn % 3 == 0), turn % view.table.n, 0)


def joined(customers: Customers) -> np.ndarray:
    """The events before the first week: whoever is no prospect joined at its start."""
    here = np.flatnonzero(customers.state["prospect"] == 0)
    events = np.zeros(here.size, EVENT)
    events["customer"], events["kind"] = here, JOIN
    return events


def record(world: World, customers: Customers) -> tuple[LoyaltyMarket, np.ndarray]:
    weeks = [joined(customers)]
    market = LoyaltyMarket(
        world, customers, derive_seed(2, "world"), decider=EveryThirdWeek(), recording=True
    )
    for _ in range(WEEKS):
        market.step()
        weeks.append(market.events())
    return market, np.concatenate(weeks)


@pytest.fixture(scope="module")
def recorded(world: World, population) -> tuple[LoyaltyMarket, np.ndarray]:
    """A market after a year and more, and all that could be observed of it."""
    return record(world, population(N))


def test_every_kind_of_event_of_a_whole_society_is_recorded_and_replayed(
    society, population
) -> None:
    market, events = record(society, population(N, prospects=0.2))
    assert set(events["kind"]) == set(range(len(EventKind)))
    profile, _ = replay(events, N, WEEKS, market.engine.rules)
    assert profile.tobytes() == market.customers.profile.tobytes()


def test_replaying_the_events_gives_the_simulators_profile(recorded) -> None:
    market, events = recorded
    profile, account = replay(events, N, WEEKS, market.engine.rules)
    assert profile.tobytes() == market.customers.profile.tobytes()
    assert not account.view(np.uint8).any()


def test_weeks_with_an_open_offer_are_those_that_the_events_tell(recorded) -> None:
    """Counted week by week from contacts, uses and purchases, without the fold."""
    market, events = recorded
    left = np.zeros(N, int)
    weeks, purchases = np.zeros(N, int), np.zeros(N, int)
    for week in range(WEEKS):
        now = events[events["time"] // SECONDS_PER_WEEK == week]
        sent = now[now["kind"] == CONTACT]
        left[sent["customer"]] = sent["amount"]
        weeks += left > 0
        bought = np.bincount(now["customer"][now["kind"] == PURCHASE].astype(int), minlength=N)
        purchases += np.where(left > 0, bought, 0)
        used = now[(now["kind"] == REDEEM_OFFER) & (now["channel"] == LAST_USE)]
        gone = now[now["kind"] == CLOSE_ACCOUNT]
        left[np.concatenate([used["customer"], gone["customer"]])] = 1
        left = np.maximum(left - 1, 0)
    profile = market.customers.profile
    np.testing.assert_array_equal(profile["offer_weeks"], weeks)
    np.testing.assert_array_equal(profile["offer_purchases"], purchases)
    sends = np.bincount(events["customer"][events["kind"] == CONTACT].astype(int), minlength=N)
    assert (weeks > sends).any()  # some offers last for more than a week
    assert 0 < purchases.sum() < profile["repeats"].sum()


def test_events_may_come_in_any_order(recorded) -> None:
    market, events = recorded
    shuffled = np.random.default_rng(8).permutation(events)
    profile, _ = replay(shuffled, N, WEEKS, market.engine.rules)
    assert profile.tobytes() == market.customers.profile.tobytes()


def test_folding_a_week_in_any_order_gives_the_same_profile(recorded) -> None:
    market, events = recorded
    rules, draw = market.engine.rules, np.random.default_rng(9)
    profile = np.zeros(N, PROFILE)
    profile["joined"] = -1
    week_of = events["time"] // SECONDS_PER_WEEK
    for week in range(WEEKS):
        for e in draw.permutation(events[week_of == week]):
            row = profile[e["customer"]]
            fold(row, e["kind"], e["time"], e["code"], e["channel"], e["amount"])
        for row in profile:
            week_close(row, rules["filter"][0], week, rules["calendar"]["exposure"][0, week % 52])
    assert profile.tobytes() == market.customers.profile.tobytes()


def test_a_replay_may_stop_early_and_a_lost_event_shows(recorded) -> None:
    market, events = recorded
    early = events[events["time"] < 10 * SECONDS_PER_WEEK]
    profile, _ = replay(early, N, 10, market.engine.rules)
    assert np.allclose(profile["age"], 10.0)
    lost = np.delete(events, np.flatnonzero(events["kind"] == PURCHASE)[0])
    profile, _ = replay(lost, N, WEEKS, market.engine.rules)
    assert (profile != market.customers.profile).sum() == 1


def test_status_match_gives_the_tier_that_the_spend_deserves(world: World, population) -> None:
    """From purchases alone; for members it is what the programme itself counted."""
    programme = replace(world.programme, earn_on="paid")
    market, events = record(world._replace(programme=programme, off=("enrolment",)), population(N))
    bought = events[np.isin(events["kind"], [JOIN, PURCHASE])]
    profile, account = replay(bought, N, WEEKS, market.engine.rules, status_match=True)
    # The running quarter and those of the window before it, all met at the last quarter's end.
    oldest = (WEEKS // 13 - programme.window_quarters + 1) * 13 * SECONDS_PER_WEEK
    recent = bought[bought["time"] >= oldest]
    spend = np.bincount(recent["customer"].astype(int), recent["amount"], N)
    np.testing.assert_array_equal(profile["qualifying"], spend)
    running = (WEEKS // 13) * 13 * SECONDS_PER_WEEK
    before = recent[recent["time"] < running]
    earlier = np.bincount(before["customer"].astype(int), before["amount"], N)
    np.testing.assert_array_equal(account["qualifying"].sum(axis=1), earlier)
    thresholds = [100 * tier.threshold for tier in market.world.programme.tiers]
    np.testing.assert_array_equal(account["tier"], np.searchsorted(thresholds, spend, "right") - 1)
    np.testing.assert_array_equal(profile["tier"], account["tier"])
    assert set(account["tier"]) == {0, 1, 2}
    assert not profile["points"].any()
    live = market.customers.account
    member = (live["enrolled"] == 1) & (live["closed"] == 0)  # a closed account is reviewed no more
    np.testing.assert_array_equal(account["tier"][member], market.customers.account["tier"][member])


def test_status_match_counts_the_basket_of_joining(world: World) -> None:
    events = np.zeros(1, EVENT)
    events["kind"] = JOIN
    events["amount"] = 50_000
    profile, account = replay(events, 1, 5, world.rules(), status_match=True)
    assert (profile["revenue"], profile["qualifying"], account["tier"]) == (50_000, 50_000, 1)


@pytest.mark.parametrize(
    ("basis", "amount", "tier"),
    [("points_earned", 751, 1), ("points_balance", 0, 0), ("predicted_value", None, 1)],
)
def test_status_match_follows_the_basis_of_the_tiers(world: World, basis, amount, tier) -> None:
    """Points at the base tier's rate on what was paid; a prediction by the reviews alone."""
    tiers = (Tier("base", 0, 1.5), Tier("silver", 100, 9.0), Tier("gold", 800, 9.0))
    programme = replace(world.programme, tiers=tiers, tier_basis=basis)
    rules = world._replace(programme=programme).rules()
    events = np.zeros(2, EVENT)
    events["kind"] = JOIN, PURCHASE
    events["amount"] = 20_100, 30_000
    events["time"] = 0, 3 * SECONDS_PER_WEEK
    profile, account = replay(events, 1, 12, rules, status_match=True)
    assert (profile["qualifying"], account["tier"]) == ((amount, tier) if amount else (0, 0))
    profile, account = replay(events, 1, 13, rules, status_match=True)
    assert amount is None or profile["qualifying"] == amount
    assert account["tier"] == profile["tier"] == tier
    assert not profile["points"].any()


def test_without_a_programme_there_is_no_status_to_match(recorded, world: World) -> None:
    _, events = recorded
    none = world._replace(programme=world.programme.__class__()).rules()
    bought = events[np.isin(events["kind"], [JOIN, PURCHASE])]
    profile, account = replay(bought, N, WEEKS, none, status_match=True)
    assert not profile["qualifying"].any()
    assert not account["tier"].any()
    assert {QUALIFY, TIER}.isdisjoint(bought["kind"])


def test_a_replay_may_start_in_a_later_week(recorded) -> None:
    _, events = recorded
    rules = recorded[0].engine.rules
    late = events[(events["time"] >= 52 * SECONDS_PER_WEEK) & (events["kind"] == PURCHASE)]
    moved = events[events["kind"] == JOIN]
    moved["time"] = 52 * SECONDS_PER_WEEK
    profile, _ = replay(np.concatenate([late, moved]), N, 8, rules, first_week=52)
    assert np.allclose(profile["age"], 8.0)
    assert profile["repeats"].sum() == late.size


def test_weeks_whose_times_fit_no_profile_are_not_replayed(recorded) -> None:
    with pytest.raises(ValueError, match=f"week {MAX_WEEKS + 1} lies beyond the last, {MAX_WEEKS}"):
        replay(np.empty(0, EVENT), 1, 2, recorded[0].engine.rules, first_week=MAX_WEEKS - 1)


def test_no_events_are_no_history(recorded) -> None:
    profile, _ = replay(np.empty(0, EVENT), 3, 5, recorded[0].engine.rules)
    assert profile["joined"].tolist() == [-1, -1, -1]
    assert not profile["age"].any()


@pytest.mark.parametrize(
    ("customer", "time", "message"),
    [
        (3, 0, r"event of customer 3, but n=3"),
        (0, -1, r"event times -1\.\.-1 lie outside the weeks given"),
        (0, 5 * SECONDS_PER_WEEK, r"event times 3024000\.\.3024000 lie outside"),
    ],
)
def test_an_event_out_of_range_is_refused(recorded, customer, time, message) -> None:
    events = np.zeros(1, EVENT)
    events["customer"], events["time"] = customer, time
    with pytest.raises(ValueError, match=message):
        replay(events, 3, 5, recorded[0].engine.rules)


def test_events_must_have_been_written_down(world: World, population) -> None:
    market = LoyaltyMarket(world, population(2), derive_seed(2, "world"))
    market.step()
    with pytest.raises(ValueError, match="recording=True"):
        market.events()
