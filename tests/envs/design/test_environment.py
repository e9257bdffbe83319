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
from envs.design.offers import kinds_of_actions, open_by_kind
from envs.design.task import DesignTask
from envs.task import default_world
from sim import redesign
from sim.goalposts import Goalposts
from sim.kept import MULTIPLIER_BIT, REWARD_BIT, TIER_BITS, multiplier_for, price_for
from sim.market import LoyaltyMarket
from sim.notices import Notice, Notices
from sim.redesign import members, own_prices

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
        population(300),
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


class Audit:
    """Watches a market week by week and counts promises broken, with its own bookkeeping.

    It judges by ``PROMISED``, whatever the environment enforces.
    """

    def __init__(self, env: ProgrammeDesignEnv) -> None:
        self.market: LoyaltyMarket = env.running.market
        self.broken = {"notice": 0, "close_tier": 0, "close_reward": 0, "tier": 0, "multiplier": 0}
        self.seen = dict.fromkeys(self.broken, 0)
        self.announced: list[tuple[int, list[float]]] = []
        self.past: list[tuple[int, object]] = [(self.market.week, self.market.world.programme)]
        self.promises: list[dict] = []
        self._change, self._step = self.market.change_programme, self.market.step
        self.market.change_programme = self.change  # type: ignore[method-assign]
        self.market.step = self.step  # type: ignore[method-assign]
        self.market.advance = lambda weeks: [self.step() for _ in range(weeks)]

    @staticmethod
    def badness(programme) -> list[float]:
        """Terms as numbers that grow as they get worse."""
        return [
            -programme.points_per_unit,
            *(tier.threshold for tier in programme.tiers),
            *(-tier.multiplier for tier in programme.tiers),
            *(reward.points_price for reward in programme.rewards),
        ]

    def announce(self, programme) -> None:
        self.announced.append((self.market.week, self.badness(programme)))

    def change(self, programme, goalposts) -> None:
        before, week = self.market.world.programme, self.market.week
        due = [b for at, b in self.announced if at <= week - PROMISED.notice_weeks]
        now = zip(self.badness(before), self.badness(programme), strict=True)
        for at, (old, new) in enumerate(now):
            if new > old:
                self.seen["notice"] += 1
                self.broken["notice"] += not any(bad[at] >= new for bad in due)
        customers = self.market.customers
        account, profile = customers.account, customers.profile
        there = members(customers)
        until = week + PROMISED.grandfathering_weeks
        lacking = 1 - PROMISED.close_share
        for at, (old, new) in enumerate(zip(before.tiers, programme.tiers, strict=True)):
            if new.threshold > old.threshold:
                near = there & (account["tier"] == at - 1)
                near &= profile["qualifying"] >= lacking * old.threshold * 100
                self._promise("close_tier", near, at, old.threshold * 100, until)
            if new.multiplier < old.multiplier:
                held = there & (account["tier"] == at)
                self._promise("multiplier", held, at, round(old.multiplier * 10_000), until)
        saved = profile["points"] + account["pending"].sum(axis=1) - account["ordered"]
        for at, (old, new) in enumerate(zip(before.rewards, programme.rewards, strict=True)):
            if new.points_price > old.points_price:
                near = there & (saved >= lacking * old.points_price)
                self._promise("close_reward", near, at, old.points_price, until)
        self._change(programme, goalposts)
        self.past.append((week, programme))

    def _promise(self, kind, who, at, value, until) -> None:
        self.seen[kind] += int(who.sum())
        self.promises.append(
            {"kind": kind, "rows": np.flatnonzero(who), "at": at, "value": value, "until": until}
        )

    def step(self) -> None:
        account, profile = self.market.customers.account, self.market.customers.profile
        before, week = account["tier"].copy(), self.market.week
        self._step()
        outcome = self.market.customers.outcome
        open_ = account["closed"] == 0
        fell = open_ & (account["tier"] < before)
        self.seen["tier"] += int(fell.sum())
        ends = [*(start for start, _ in self.past[1:]), 10**9]
        live = [
            terms for (_, terms), end in zip(self.past, ends, strict=True)
            if end + PROMISED.grandfathering_weeks > week
        ]  # fmt: skip
        lowest = np.min([[100 * tier.threshold for tier in terms.tiers] for terms in live], axis=0)
        self.broken["tier"] += int((profile["qualifying"][fell] >= lowest[before[fell]]).sum())
        prices = own_prices(self.market.customers, self.market.engine.rules["programme"])
        rules = self.market.engine.rules["programme"][0]
        for promise in self.promises:
            rows, at = promise["rows"][open_[promise["rows"]]], promise["at"]
            if week + 1 >= promise["until"]:
                continue
            if promise["kind"] == "close_tier":
                due = profile["qualifying"][rows] >= promise["value"]
                self.broken["close_tier"] += int((account["tier"][rows[due]] < at).sum())
                promise["rows"] = rows[~due & (account["tier"][rows] < at)]
            elif promise["kind"] == "close_reward":
                rows = rows[outcome["rewards"][rows] == 0]  # whoever got one may have used it
                self.broken["close_reward"] += int((prices[rows, at] > promise["value"]).sum())
                promise["rows"] = rows
            elif (week + 1) % WEEKS_PER_QUARTER == 0:
                rows = rows[account["tier"][rows] == at]
                promise["rows"] = rows
                paid = np.array([multiplier_for(account[row], rules) for row in rows[:20]])
                self.broken["multiplier"] += int((paid < promise["value"]).sum())


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
    env = ProgrammeDesignEnv(replace(task, horizon=quarters))
    env.reset(seed=0)
    audit = Audit(env)
    act = policy(env)
    announce = env.running.announce

    def heard(design):
        audit.announce(design.programme)
        announce(design)

    env.running.announce = heard
    for quarter in range(quarters):
        env.step(act(quarter))
    env.running.market.finish()
    return audit


@pytest.mark.parametrize("policy", [harshest, to_and_fro, random_ends])
@pytest.mark.parametrize("improve_at_once", [True, False])
def test_no_policy_breaks_a_promise(task, policy, improve_at_once):
    audit = audited(replace(task, improve_at_once=improve_at_once), policy)
    assert audit.broken == dict.fromkeys(audit.broken, 0)
    assert min(audit.seen.values()) > 0, audit.seen


@pytest.mark.parametrize(
    ("weaker", "breaks"),
    [
        ({"notice_weeks": 0}, {"notice"}),
        ({"close_share": 0.05}, {"close_tier", "close_reward"}),
        ({"grandfathering_weeks": 0}, {"tier", "close_tier", "close_reward", "multiplier"}),
        ({"grandfathering_weeks": 39}, {"tier"}),
    ],
)
def test_the_audit_finds_what_weaker_goalposts_let_through(task, weaker, breaks):
    constraints = replace(task.constraints, goalposts=Goalposts(**weaker))
    audit = audited(replace(task, constraints=constraints), harshest)
    found = {name for name, count in audit.broken.items() if count}
    assert breaks <= found


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
        (without_bits(TIER_BITS), "close_tier"),
        (without_bits(1 << MULTIPLIER_BIT), "multiplier"),
        (without_bits(0xF << REWARD_BIT), "close_reward"),
        (without_holding, "tier"),
        (without_notice, "notice"),
    ],
)
def test_with_a_rule_taken_out_the_audit_finds_its_promise_broken(
    task, monkeypatch, disable, broken
):
    disable(monkeypatch)
    assert audited(task, harshest).broken[broken] > 0


def test_prices_by_member_are_those_of_the_compiled_rule(task):
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
    for row in keeping:
        for at in range(prices.shape[1]):
            assert prices[row, at] == price_for(customers.account[row], rules[0], at)


def test_the_budget_and_its_split_are_never_exceeded_by_new_offers(with_offers):
    env = ProgrammeDesignEnv(with_offers)
    env.reset(seed=0)
    offers, table = env.running.offers, env.running.market.table
    of_kind, used = kinds_of_actions(table), []
    decide = offers.decide

    def watched(view):
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
