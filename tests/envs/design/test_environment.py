"""The design environment keeps Gymnasium's and SB3's contracts, and its own promises."""

import copy
import inspect
import pickle
import re
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_sb3_env

import envs
import sim.market
from agents.records import KINDS, WEEKS_PER_QUARTER
from envs.constraints.parameters import ConstraintParameters
from envs.design.environment import ProgrammeDesignEnv
from envs.design.offers import SplitBudget, kinds_of_actions, open_by_kind
from envs.design.running import RunningProgramme
from envs.design.task import DesignTask
from envs.task import default_world
from sim import redesign
from sim.goalposts import Goalposts
from sim.kept import MULTIPLIER_BIT, REWARD_BIT, TIER_BITS, multiplier_for, price_for
from sim.kept_terms import members, own_multipliers, own_prices
from sim.notices import Notice, Notices

ID = "loyaltylab/ProgrammeDesign-v0"
PROMISED = Goalposts()


@pytest.fixture(scope="module")
def task(world, population):
    """The everything-world, tiers that are within reach."""
    programme = replace(
        world.programme,
        tiers=tuple(
            replace(tier, threshold=threshold)
            for tier, threshold in zip(world.programme.tiers, (0, 200, 500), strict=True)
        ),
    )
    return DesignTask(
        (world._replace(programme=programme),),
        population(150),
        weekly_budget=1.0,
        constraints=ConstraintParameters(),
        horizon=4,
        warmup=2,
    )


@pytest.fixture(scope="module")
def with_offers(task):
    """The same with a lottery of offers inside."""
    return replace(task, policy="lottery", horizon=3, warmup=1)


def actions_of(env, seed, quarters):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (quarters, env.action_space.shape[0])).astype(np.float32)


def episode(env, seed=None, action_seed=0):
    """Observations, rewards and ends of an episode, as one array."""
    observation, _ = env.reset(seed=seed)
    seen = [np.append(observation, [0.0, 0.0])]
    for action in actions_of(env, action_seed, env.task.horizon):
        observation, reward, _, truncated, _ = env.step(action)
        seen.append(np.append(observation, [reward, truncated]))
    return np.array(seen)


# ------------------------------------------------------------------------------ the interface


def test_gymnasium_and_sb3_accept_the_environment(task):
    check_env(ProgrammeDesignEnv(task), skip_render_check=True)
    check_env(ProgrammeDesignEnv(task, render_mode="ansi"))
    check_sb3_env(ProgrammeDesignEnv(task))


def test_the_registered_id_makes_it_with_arguments(task):
    assert envs.register is not None
    env = gym.make(ID, task=task, render_mode="ansi")
    assert isinstance(env.unwrapped, ProgrammeDesignEnv)
    env.reset(seed=0)
    many = gym.make_vec(ID, num_envs=2, vectorization_mode="sync", task=task)
    observation, _ = many.reset(seed=0)
    assert observation.shape == (2, len(env.unwrapped.table))
    observation, reward, *_ = many.step(np.zeros((2, env.action_space.shape[0]), np.float32))
    assert reward.shape == (2,)
    many.close()


def test_a_seed_fixes_every_element_and_episodes_differ(task):
    env, again = ProgrammeDesignEnv(task), ProgrammeDesignEnv(task)
    first, second = episode(env, 3), episode(env)
    np.testing.assert_array_equal(first, episode(again, 3))
    np.testing.assert_array_equal(second, episode(again))
    assert (first[1:] != second[1:]).any()
    assert (first != episode(env, 4)).any()
    np.testing.assert_array_equal(first, episode(env, 3))


def test_an_episode_ends_at_the_horizon_only_and_then_wants_a_reset(task):
    env = ProgrammeDesignEnv(task)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    still = np.zeros(env.action_space.shape, np.float32)
    for quarter in range(task.horizon):
        _, _, terminated, truncated, info = env.step(still)
        assert not terminated
        assert truncated == (quarter == task.horizon - 1)
        assert ("residual_value" in info) == truncated
    assert info["residual_value"] > 0
    with pytest.raises(gym.error.ResetNeeded):
        env.step(still)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_in_the_middle_of_an_episode_goes_on_alike(with_offers, clone):
    env = ProgrammeDesignEnv(replace(with_offers, paired=True))
    env.reset(seed=5)
    actions = actions_of(env, 1, with_offers.horizon)
    env.step(np.sign(actions[0]))
    other = clone(env)
    for action in actions[1:]:
        (one, reward, *_), (two, same, *_) = env.step(action), other.step(action)
        np.testing.assert_array_equal(one, two)
        assert reward == same
    assert other.running.market.ledger.imbalances(other.running.market.customers) == {}


def test_what_is_no_action_is_refused_and_changes_nothing(task):
    env, other = ProgrammeDesignEnv(task), ProgrammeDesignEnv(task)
    for each in (env, other):
        each.reset(seed=0)
    with pytest.raises(ValueError, match="threshold_silver=nan"):
        env.step(np.full(env.action_space.shape, np.nan))
    action = actions_of(env, 0, 1)[0]
    np.testing.assert_array_equal(env.step(action)[0], other.step(action)[0])


def test_observations_are_finite_and_within_the_declared_ranges(task):
    env = ProgrammeDesignEnv(task)
    env.reset(seed=0)
    for action in (*actions_of(env, 2, 2), *np.sign(actions_of(env, 3, 2))):
        observation, reward, _, _, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert np.isfinite([reward, *info["kpis"].values(), *info["costs"].values()]).all()


# -------------------------------------------------------------------------- the specification


def listed(title: str) -> list[str]:
    """First column of a table of the docstring, names of a row taken apart."""
    doc = inspect.getdoc(ProgrammeDesignEnv)
    block = doc.split(title)[1].split("\n")
    rules = [at for at, line in enumerate(block) if set(line.strip()) == {"=", " "}]
    rows = [re.split(r"\s{2,}", line.strip())[0] for line in block[rules[1] + 1 : rules[2]]]
    return [name for row in rows for name in row.split(", ")]


def pattern(name: str) -> str:
    """A name as the docstring has it: tiers, rewards and kinds in angle brackets."""
    for found, written in (
        (r"(threshold|multiplier)_\w+$", r"\1_<tier>"),
        (r"^tier_\w+$", "tier_<tier>"),
        (r"price_\w+$", "price_<reward>"),
        (r"^split_\w+$", "split_<kind>"),
        (r"^quarter_\d$", "quarter_<1-4>"),
    ):
        name = re.sub(found, written, name)
    return name


def unique(names) -> list[str]:
    return list(dict.fromkeys(names))


def test_the_docstring_lists_every_lever_and_every_column_in_order(task):
    env = ProgrammeDesignEnv(task)
    assert listed("Action\n") == unique(pattern(name) for name in env.levers.names)
    assert listed("Observation\n") == unique(pattern(name) for name in env.names)


def test_kpis_are_those_of_the_market(with_offers):
    env = ProgrammeDesignEnv(with_offers)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(np.zeros(env.action_space.shape, np.float32))
    market = env.running.market
    frame = market.datacollector.get_model_vars_dataframe()
    n = market.customers.n
    kpis = info["kpis"]
    assert len(frame) == WEEKS_PER_QUARTER
    assert reward == pytest.approx(frame["profit"].sum() / 100 / n)
    assert kpis["profit"] == pytest.approx(reward)
    assert kpis["margin"] == pytest.approx(frame["margin"].sum() / 100 / n)
    assert kpis["liability"] == pytest.approx(frame["liability"].iloc[-1] / 1e8 / n)
    assert info["cost"] == pytest.approx(frame["settled"].sum() / 100 / n)
    there = members(market.customers)
    shares = [kpis[f"tier_{tier.name}"] for tier in env.running.notices.in_force.tiers]
    assert sum(shares) == pytest.approx(1)
    tiers = market.customers.account["tier"][there]
    assert shares[1] == pytest.approx((tiers == 1).mean())
    assert kpis["members"] == pytest.approx(there.mean())


def test_no_kpi_depends_on_who_is_truly_there(task):
    """Latent fields may differ, what the firm sees at that moment may not."""
    env = ProgrammeDesignEnv(task)
    env.reset(seed=0)
    before = env._values(env.running)
    state = env.running.market.customers.state
    state["alive"] = 1 - state["alive"]
    state["drift"] += 1
    np.testing.assert_array_equal(before, env._values(env.running))


# --------------------------------------------------------------------- counterfactual and worlds


def test_a_twin_under_the_same_terms_earns_the_same_to_the_bit(task):
    env = ProgrammeDesignEnv(replace(task, paired=True))
    env.reset(seed=1)
    still = np.zeros(env.action_space.shape, np.float32)
    assert [env.step(still)[1] for _ in range(task.horizon)] == [0.0] * task.horizon


def test_a_paired_reward_is_the_difference_of_two_whole_runs(task):
    env, twin, both = (ProgrammeDesignEnv(t) for t in (task, task, replace(task, paired=True)))
    for each in (env, twin, both):
        each.reset(seed=1)
    still = np.zeros(env.action_space.shape, np.float32)
    for action in actions_of(env, 0, task.horizon):
        reward, control = env.step(action)[1], twin.step(still)[1]
        lift, info = both.step(action)[1::3]
        assert lift == pytest.approx(reward - control, abs=1e-12)
        assert info["lift"] == lift


def test_episodes_are_dealt_over_worlds_by_the_seed(task):
    (world,) = task.worlds
    dear = replace(
        world.programme,
        tiers=tuple(replace(t, threshold=2 * t.threshold) for t in world.programme.tiers),
    )
    env = ProgrammeDesignEnv(replace(task, worlds=(world, world._replace(programme=dear))))

    def thresholds(seed):
        found = []
        for at in range(12):
            env.reset(seed=seed if at == 0 else None)
            found.append(env.running.notices.in_force.tiers[1].threshold)
        return found

    first = thresholds(0)
    assert set(first) == {200, 400}
    assert thresholds(0) == first
    assert thresholds(1) != first


def test_worlds_with_other_tiers_are_refused(task):
    (world,) = task.worlds
    other = world._replace(programme=replace(world.programme, tiers=world.programme.tiers[:2]))
    with pytest.raises(ValueError, match=r"worlds\[1\]"):
        replace(task, worlds=(world, other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worlds": ()}, "worlds is empty"),
        ({"policy": "best"}, "policy='best'"),
        ({"horizon": 0}, "horizon=0"),
        ({"weekly_budget": -1.0}, "weekly_budget=-1.0"),
    ],
)
def test_bad_tasks_are_named(task, change, message):
    with pytest.raises(ValueError, match=message):
        replace(task, **change)


def test_an_unknown_render_mode_is_named(task):
    with pytest.raises(ValueError, match="render_mode='human'"):
        ProgrammeDesignEnv(task, render_mode="human")


# ------------------------------------------------------------------------------------ promises


def harshest(env):
    """Thresholds and prices up, multipliers and rate down, always."""
    signs = {"threshold": 1, "price": 1, "multiplier": -1, "earn": -1}
    action = [signs.get(name.split("_")[0], 0) for name in env.levers.names]
    return lambda _: np.array(action, np.float32)


def to_and_fro(env):
    """Generous in one quarter, harsh in the next."""
    harsh = harshest(env)(0)
    return lambda quarter: harsh if quarter % 2 else -harsh


def random_ends(env):
    """Every lever at one of its ends."""
    rng = np.random.default_rng(0)
    return lambda _: rng.choice([-1, 1], env.levers.n).astype(np.float32)


def audited(task, policy, quarters=7):
    """The ledger of an episode, which judges by ``PROMISED`` whatever the environment enforces."""
    env = ProgrammeDesignEnv(replace(task, horizon=quarters, audited=True))
    env.reset(seed=0)
    ledger = env.running.ledger
    ledger.goalposts = PROMISED
    act = policy(env)
    for quarter in range(quarters):
        env.step(act(quarter))
    env.running.market.finish()
    return ledger


@pytest.mark.parametrize("policy", [harshest, to_and_fro, random_ends])
@pytest.mark.parametrize("improve_at_once", [True, False])
def test_no_policy_breaks_a_promise(task, policy, improve_at_once):
    ledger = audited(replace(task, improve_at_once=improve_at_once), policy)
    for name, entry in ledger.entries.items():
        if name.startswith("goalposts/"):
            assert entry.violations == 0, name
            assert entry.checked > 0, name
            assert 0 < entry.peak <= 1, name
            assert entry.row()["slack"] == 1 - entry.peak


@pytest.mark.parametrize(
    ("weaker", "breaks"),
    [
        ({"notice_weeks": 0}, {"notice"}),
        ({"close_share": 0.05}, {"close_to_tier", "close_to_reward"}),
        ({"grandfathering_weeks": 0}, {"tier", "close_to_tier", "close_to_reward", "multiplier"}),
        ({"grandfathering_weeks": 39}, {"tier"}),
    ],
)
def test_the_ledger_finds_what_weaker_goalposts_let_through(task, weaker, breaks):
    constraints = replace(task.constraints, goalposts=Goalposts(**weaker))
    ledger = audited(replace(task, constraints=constraints), harshest)
    for name in breaks:
        entry = ledger.entries[f"goalposts/{name}"]
        assert entry.violations > 0, name
        assert entry.peak >= 1, name


def without_bits(bits):
    """Takes a part of what members keep out of the rule."""

    def disable(monkeypatch):
        keeping = redesign._keeping
        mask = np.uint32(0xFF ^ bits)
        monkeypatch.setattr(redesign, "_keeping", lambda *given: keeping(*given) & mask)

    return disable


def without_holding(monkeypatch):
    """Old terms no longer count at reviews."""
    change = sim.market.change_rules

    def changed(rules, *given):
        change(rules, *given)
        rules["programme"]["kept_last"] = 0

    monkeypatch.setattr(sim.market, "change_rules", changed)


def without_notice(monkeypatch):
    """Whatever is announced holds at once."""

    def announce(self, programme, week):
        self.pending = (Notice(week, programme),)

    monkeypatch.setattr(Notices, "announce", announce)


@pytest.mark.parametrize(
    ("disable", "broken"),
    [
        (without_bits(TIER_BITS), "close_to_tier"),
        (without_bits(1 << MULTIPLIER_BIT), "multiplier"),
        (without_bits(0xF << REWARD_BIT), "close_to_reward"),
        (without_holding, "tier"),
        (without_notice, "notice"),
    ],
)
def test_with_a_rule_taken_out_the_ledger_finds_its_promise_broken(
    task, monkeypatch, disable, broken
):
    disable(monkeypatch)
    assert audited(task, harshest).violations[f"goalposts/{broken}"] > 0


def test_the_ledger_changes_nothing_and_can_be_copied(with_offers):
    plain, watched = (
        ProgrammeDesignEnv(replace(with_offers, audited=audited)) for audited in (False, True)
    )
    np.testing.assert_array_equal(episode(plain, 2), episode(watched, 2))
    assert plain.running.ledger_rows() == watched.running.ledger_rows()[: -len(LEDGER)]
    again = pickle.loads(pickle.dumps(watched.running))
    assert again.ledger_rows() == watched.running.ledger_rows()
    assert again.offers.ledger is again.ledger


LEDGER = (
    "design_budget", "design_budget/discount", "design_budget/points", "design_budget/free_item",
    "design_budget/recognition", "goalposts/notice", "goalposts/close_to_tier",
    "goalposts/close_to_reward", "goalposts/tier", "goalposts/multiplier",
)  # fmt: skip


def spending(env):
    """All levers of the budget at random, the others still."""
    rng = np.random.default_rng(0)
    own = [name == "budget" or name.startswith("split_") for name in env.levers.names]
    return lambda _: np.where(own, rng.choice([-1, 1], env.levers.n), 0).astype(np.float32)


def test_budget_shares_have_entries_with_use_and_slack_and_are_kept(with_offers):
    ledger = audited(with_offers, spending, quarters=3)
    rows = {row["constraint"]: row for row in ledger.rows()}
    assert tuple(rows) == LEDGER
    for name in LEDGER[:5]:
        row = rows[name]
        assert row["violations"] == 0
        assert row["checked"] == 3 * WEEKS_PER_QUARTER
        assert row["slack"] == 1 - row["use_peak"] >= 0
    assert rows["design_budget"]["use_peak"] > 0.5


@pytest.mark.parametrize("name", LEDGER[:3])
def test_with_a_share_taken_out_the_ledger_finds_it_exceeded(population, monkeypatch, name):
    task = DesignTask(
        (default_world(),), population(100), policy="lottery", weekly_budget=0.05, horizon=1,
        warmup=0, constraints=ConstraintParameters(),
    )  # fmt: skip
    rooms = SplitBudget.rooms

    def without(self, view):
        found = rooms(self, view)
        out = [name == "design_budget"]  # the shares alone would keep it: they go as well
        out += [out[0] or name.endswith(f"/{kind}") for kind in self.kinds]
        own = zip(found.shares, out, strict=True)
        return found._replace(shares=tuple(one._replace(room=None) if o else one for one, o in own))

    monkeypatch.setattr(SplitBudget, "rooms", without)
    monkeypatch.setattr(SplitBudget, "free_share", lambda self, rooms: 1.0)  # reads the rooms
    ledger = audited(task, spending, quarters=1)
    assert ledger.violations[name] > 0
    assert ledger.entries[name].peak > 1


@pytest.mark.parametrize("without", [False, True])
def test_open_offers_of_points_never_cost_more_than_was_reserved(with_offers, monkeypatch, without):
    """Rewards get cheaper every quarter, which makes each point dearer."""
    if without:
        monkeypatch.setattr(RunningProgramme, "_commit_points", lambda self: None)
    env = ProgrammeDesignEnv(replace(with_offers, horizon=3))
    env.reset(seed=0)
    market = env.running.market
    cheaper = np.array([-1.0 if name.startswith("price_") else 0.0 for name in env.levers.names])
    points = market.table.offers["kind"] == KINDS.index("points")
    short = held = settled = 0
    step = market.step

    def watched():
        nonlocal short, held, settled
        step()
        account = market.customers.account
        rows = np.flatnonzero(account["offer"])
        at = account["offer"][rows].astype(int) - 1
        rows, at = rows[points[at]], at[points[at]]
        offers = market.table.offers[at]
        cost = (
            offers["points"] * market.world.programme.point_cost * account["offer_uses_left"][rows]
        )
        short += int((account["commitment"][rows] < np.floor(cost)).sum())
        held += rows.size
        settled += market.totals.settled

    market.step = watched
    market.advance = lambda weeks: [market.step() for _ in range(weeks)]
    for _ in range(3):
        env.step(cheaper)
    assert held > 30
    assert settled > 0
    assert (short > 0) == without
    assert market.ledger.imbalances(market.customers) == {}


def test_a_design_whose_terms_would_not_fit_is_clamped_and_says_why(task):
    (world,) = task.worlds
    tiers = tuple(
        replace(tier, multiplier=multiplier)
        for tier, multiplier in zip(world.programme.tiers, (1.0, 1.25, 1.9), strict=True)
    )
    generous = replace(world.programme, points_per_unit=50.0, tiers=tiers)
    env = ProgrammeDesignEnv(replace(task, worlds=(world._replace(programme=generous),)))
    _, info = env.reset(seed=0)
    assert info["clamped"] == {}
    action = {"earn_rate": -1, "multiplier_silver": 1, "multiplier_gold": 1}
    *_, info = env.step(np.array([action.get(name, 0) for name in env.levers.names], np.float32))
    assert set(info["clamped"]) == {"multiplier_gold"}
    assert "100 points per unit" in info["clamped"]["multiplier_gold"]


def test_prices_and_multipliers_by_member_are_those_of_the_compiled_rule(task):
    env = ProgrammeDesignEnv(replace(task, horizon=7))
    env.reset(seed=0)
    act = harshest(env)
    for quarter in range(4):
        env.step(act(quarter))
    customers = env.running.market.customers
    rules = env.running.market.engine.rules["programme"]
    prices = own_prices(customers, rules)
    keeping = np.flatnonzero(customers.account["kept"])[:50]
    assert keeping.size == 50
    multipliers = own_multipliers(customers, rules)
    for row in keeping:
        assert multipliers[row] == multiplier_for(customers.account[row], rules[0])
        for at in range(prices.shape[1]):
            assert prices[row, at] == price_for(customers.account[row], rules[0], at)


def test_the_budget_and_its_split_are_never_exceeded_by_new_offers(with_offers):
    env = ProgrammeDesignEnv(with_offers)
    env.reset(seed=0)
    offers, used = env.running.offers, []
    of_kind = kinds_of_actions(env.running.market.table)
    decide = offers.decide

    def watched(view):
        table = view.table
        open_ = open_by_kind(view.account, table)
        actions = decide(view)
        new = table.commitment[actions]
        if new.sum() > 0:
            assert open_.sum() + new.sum() <= offers.limit
            used.append((open_.sum() + new.sum()) / offers.limit)
        for kind, limit in zip(offers.kinds, offers.kind_limits, strict=True):
            at = KINDS.index(kind)
            extra = new[of_kind[actions] == at].sum()
            assert extra == 0 or open_[at] + extra <= limit
        return actions

    offers.decide = watched
    for action in actions_of(env, 4, with_offers.horizon):
        env.step(action)
    assert max(used) > 0.5
    assert env.running.market.ledger.settled > 0


def test_no_offers_gives_none(task):
    env = ProgrammeDesignEnv(task)
    env.reset(seed=0)
    _, _, _, _, info = env.step(np.zeros(env.action_space.shape, np.float32))
    assert info["kpis"]["offers"] == 0
    assert info["cost"] == 0


# ------------------------------------------------------------------------------ render, learning


def test_a_render_tells_terms_in_force_announced_and_kpis(task):
    env = ProgrammeDesignEnv(task, render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "no quarter has been lived yet"
    act = harshest(env)
    for quarter in range(3):
        env.step(act(quarter))
    text = env.render()
    assert text.count("silver from 200 ×1.25") == 1
    assert "from week 39: silver from 200 → 250, silver ×1.25 → ×1.15" in text
    assert "voucher 200 → 250 points" in text
    assert text.splitlines()[-1].startswith("profit of 3 quarters: ")
    assert ProgrammeDesignEnv(task).render() is None


@pytest.mark.slow
def test_ppo_trains_on_it(population):
    task = DesignTask((default_world(),), population(64), horizon=3, warmup=1)
    model = PPO("MlpPolicy", ProgrammeDesignEnv(task), n_steps=24, batch_size=24, seed=0)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(48)
    moved = [(a != b).any().item() for a, b in zip(before, model.policy.parameters(), strict=True)]
    assert any(moved)
    assert all(np.isfinite(p.detach().numpy()).all() for p in model.policy.parameters())


@pytest.mark.slow
def test_ten_thousand_episodes_hold_no_nan_and_stay_in_the_space(population):
    """Tiny and short; every second one at the ends of all levers."""
    task = DesignTask((default_world(),), population(8), horizon=1, warmup=1)
    env = ProgrammeDesignEnv(task)
    rng = np.random.default_rng(0)
    for at in range(10_000):
        env.reset(seed=0 if at == 0 else None)
        action = rng.uniform(-1, 1, env.levers.n)
        observation, reward, _, truncated, info = env.step(np.sign(action) if at % 2 else action)
        assert env.observation_space.contains(observation)  # false for NaN
        assert np.isfinite([reward, *info["kpis"].values(), *info["costs"].values()]).all()
        assert truncated
