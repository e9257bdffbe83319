"""What the figures of docs/behaviour.md show, computed by the rules themselves.

Every curve comes from ``intensities`` and its companions called on single records, or from a small
simulated run; sizes are those of the response world ``literature`` unless an axis says otherwise.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.behaviour import (
    MECHANISMS,
    Dynamics,
    Intensities,
    KindEffects,
    ResponseParameters,
    Stimulus,
    begin_week,
    behaviour_record,
    cancelling,
    intensities,
    joining,
    live_through,
)
from agents.network import NetworkParameters, word_of_mouth
from agents.population import (
    GROCERY,
    MembershipParameters,
    draw_population,
    dynamics_from,
    filter_from,
)
from agents.records import CHANNELS, KINDS, Customers
from experiments.behaviour_table import row
from experiments.config import load_option
from experiments.config_schema import WorldConfig
from experiments.twins import (
    ALWAYS,
    COUPON,
    EMAIL,
    KEY,
    THANKS,
    Plan,
    Planned,
    alive,
    bought,
    friends,
    lived,
    plain_programme,
    quiet_world,
    twins,
)
from sim.market import LoyaltyMarket
from sim.scenario import CompetitorParameters, calendar
from sim.week import World

Kind = Literal["line", "dashed", "steps", "dots", "bars", "links"]
QUIET = Stimulus(0.0, 1.0, 0.0, -1, 0.0, -1, 0, 0, 0.0, 0, -1, -1)
DISCOUNT, POINTS, FREE_ITEM, RECOGNITION = range(len(KINDS))
_HAZARD = 0.01


@dataclass(frozen=True)
class Series:
    """One curve: ``x`` and ``y`` of the same length, drawn in the panel's next colour."""

    label: str
    x: ArrayLike
    y: ArrayLike
    kind: Kind = "line"


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    ``ticks`` names places on the x axis; ``y_range`` fixes the y axis; ``bare`` draws no axes at
    all (for graphs).
    """

    x: str
    y: str
    series: tuple[Series, ...]
    title: str = ""
    x_log: bool = False
    y_log: bool = False
    ticks: tuple[str, ...] = ()
    y_range: tuple[float, float] | None = None
    bare: bool = False


Panels = tuple[Panel, ...]


# ---- the rules, one customer at a time ---------------------------------------------------------


@functools.cache
def literature() -> ResponseParameters:
    """The response world whose sizes the page shows."""
    world: ResponseParameters = load_option("response", "literature")
    return world


@functools.cache
def grocery() -> WorldConfig:
    """The world whose surroundings the page shows."""
    world: WorldConfig = load_option("world", "grocery")
    return world


def only(*mechanisms: str, **changes: Any) -> ResponseParameters:
    """The response world with all mechanisms off but these, then changed."""
    off = (name for name in MECHANISMS if name not in mechanisms)
    return replace(literature().without(*off), **changes)


def largest(parameter: str) -> float:
    """The end of a parameter's range that is farther from 0, where its default is 0."""
    return float(max(row(f"response.{parameter}").range, key=abs))


def expected(
    response: ResponseParameters,
    dynamics: Dynamics | None = None,
    traits: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    **stimulus: Any,
) -> Intensities:
    """Intensities of a customer with purchase rate 1 and hazard 1 % a week."""
    who = twins(1, rate=1.0, hazard=_HAZARD)
    for name, value in (traits or {}).items():
        who.traits[name] = value
    for name, value in (state or {}).items():
        who.state[name] = value
    record = behaviour_record(response, dynamics or Dynamics())[0]
    found: Intensities = intensities(
        who.traits[0], who.state[0], QUIET._replace(**stimulus), record
    )
    return found


def weeks_of(
    response: ResponseParameters,
    weeks: int,
    happens: Mapping[int, Mapping[str, int]],
    ready: Sequence[int] = (),
) -> list[tuple[float, float, float]]:
    """Factors on rate and hazard, and satisfaction, at the start of each week.

    Parameters
    ----------
    happens
        By week: ``kind`` of an opened offer, ``contacted``, ``received`` rewards of any kind,
        points ``rewards``, ``tier_change``.
    ready
        Weeks in which a reward is within reach.
    """
    who = twins(1, rate=1.0, hazard=_HAZARD)
    traits, state, outcome = who.traits[0], who.state[0], who.outcome[0]
    record = behaviour_record(response, Dynamics())[0]
    found = []
    for week in range(weeks):
        begin_week(state, record)
        now = intensities(
            traits, state, QUIET._replace(reward_ready=1.0 if week in ready else 0.0), record
        )
        found.append((now.rate, now.hazard / float(traits["hazard"]), float(state["satisfaction"])))
        event = happens.get(week, {})
        outcome["rewards"] = event.get("rewards", 0)
        outcome["tier_change"] = event.get("tier_change", 0)
        live_through(
            traits,
            state,
            outcome,
            bool(event.get("contacted", 0)),
            event.get("kind", -1),
            event.get("received", 0),
            record,
        )
    return found


def rate_factors(*arguments: Any, **keywords: Any) -> list[float]:
    """Factors on the purchase rate by week (``weeks_of``)."""
    return [rate for rate, _, _ in weeks_of(*arguments, **keywords)]


def hazard_factors(*arguments: Any, **keywords: Any) -> list[float]:
    """Factors on the churn hazard by week (``weeks_of``)."""
    return [hazard for _, hazard, _ in weeks_of(*arguments, **keywords)]


RATE = "purchase rate, relative"
CHURN = "churn hazard, relative"


# ---- one function a mechanism ------------------------------------------------------------------


def attention() -> Panels:
    """Openness over customers, by channel."""
    people = draw_population(GROCERY, 20_000, KEY, grocery().membership)
    edges = np.linspace(0.0, 1.0, 21)
    return (
        Panel(
            "probability that this customer opens a message",
            "customers (%)",
            tuple(
                Series(
                    f"{channel}, mean {people.traits['openness'][:, at].mean():.2f}",
                    (edges[1:] + edges[:-1]) / 2,
                    100 * np.histogram(people.traits["openness"][:, at], edges)[0] / people.n,
                )
                for at, channel in enumerate(CHANNELS)
            ),
        ),
    )


def offers() -> Panels:
    """Rate under an opened offer by the customer's own response."""
    response, own = only("offers"), np.linspace(-2.0, 2.0, 21)
    kinds: tuple[tuple[str, int, Kind], ...] = (
        ("discount", DISCOUNT, "line"),
        ("bonus points", POINTS, "line"),
        ("free item", FREE_ITEM, "dashed"),
        ("recognition", RECOGNITION, "line"),
    )
    return (
        Panel(
            "customer's own response to this kind (sd)",
            RATE,
            tuple(
                Series(
                    name,
                    own,
                    [
                        expected(
                            response,
                            traits={"response": np.eye(len(KINDS))[kind] * one},
                            offer_kind=kind,
                            offer_strength=1.0,
                        ).rate
                        for one in own
                    ],
                    style,
                )
                for name, kind, style in kinds
            ),
        ),
    )


def basket_uplift() -> Panels:
    """Mean basket under an opened offer by its strength."""
    response, strength = only("basket_uplift"), np.linspace(0.0, 3.0, 13)
    usual = expected(response).spend_mean

    def curve(kind: int) -> list[float]:
        return [
            expected(response, offer_kind=kind, offer_strength=s).spend_mean / usual
            for s in strength
        ]

    return (
        Panel(
            "strength of the offer",
            "mean basket, relative",
            (
                Series("discount", strength, curve(DISCOUNT)),
                Series("other kinds", strength, curve(POINTS)),
            ),
        ),
    )


def category() -> Panels:
    """Rate under a discount on one of three categories by the customer's share of it."""
    share = np.linspace(0.0, 1.0, 21)
    return (
        Panel(
            "share of the category in the customer's baskets",
            RATE,
            tuple(
                Series(
                    f"category_match {match:g}",
                    share,
                    [
                        expected(
                            only("offers", "category", category_match=match, offer_log_rate_sd=0.0),
                            Dynamics(categories=3),
                            traits={"category": (s, (1 - s) / 2, (1 - s) / 2, 0.0)},
                            offer_kind=DISCOUNT,
                            offer_strength=1.0,
                            offer_category=0,
                        ).rate
                        for s in share
                    ],
                )
                for match in (1.0, 0.5, 0.0)
            ),
        ),
    )


def redemption() -> Panels:
    """Probability of meaning to redeem an opened discount by purchase rate and inclination."""
    response, rate = only("redemption"), np.geomspace(0.1, 10.0, 25)
    dynamics = dynamics_from(GROCERY)

    def curve(kind: int, inclination: float) -> list[float]:
        return [
            100
            * expected(
                response,
                dynamics,
                traits={"log_rate": math.log(r), "redemption": inclination},
                contact_channel=0,
                contact_kind=kind,
            ).intention
            for r in rate
        ]

    return (
        Panel(
            "customer's purchases per week",
            "redeem it once opened (%)",
            (
                Series("discount, inclination +1 sd", rate, curve(DISCOUNT, 1.0)),
                Series("discount, ordinary", rate, curve(DISCOUNT, 0.0)),
                Series("discount, inclination −1 sd", rate, curve(DISCOUNT, -1.0)),
                Series("other kinds, ordinary", rate, curve(POINTS, 0.0), "dashed"),
            ),
            x_log=True,
            y_range=(0.0, 100.0),
        ),
    )


def membership() -> Panels:
    """What members buy more: compared with themselves, and with those who did not enrol."""
    world = World(
        only("membership"),
        dynamics_from(GROCERY),
        filter_from(GROCERY),
        programme=plain_programme(),
    )
    drawn = draw_population(GROCERY, 20_000, KEY, grocery().membership)
    drawn.traits["hazard"] = 0.0
    member = drawn.account["enrolled"] > 0
    inside, outside = drawn.take(slice(None)), drawn.take(slice(None))
    inside.account["enrolled"], outside.account["enrolled"] = 1, 0
    total = [bought(world, who, 26).sum(axis=0) for who in (inside, outside, drawn)]
    paired = total[0].sum() / total[1].sum() - 1
    naive = total[2][member].mean() / total[2][~member].mean() - 1
    return (
        Panel(
            "",
            "more purchases (%)",
            (Series("", (0, 1), (100 * paired, 100 * naive), "bars"),),
            ticks=(
                f"the same customers, as members\nand not: {100 * paired:+.1f} %",
                f"members against those who\ndid not enrol: {100 * naive:+.0f} %",
            ),
        ),
    )


def enrolment() -> Panels:
    """Share enrolled over two years, by thirds of the purchase rate; nobody is at the start."""
    world = World(
        only("enrolment"), dynamics_from(GROCERY), filter_from(GROCERY), programme=plain_programme()
    )
    people = draw_population(GROCERY, 9000, KEY, MembershipParameters(enrolled_share=0.0))
    people.account["enrolled"] = 0
    third = np.argsort(np.argsort(people.state["drift"])) // 3000
    share = [
        [people.account["enrolled"][third == at].mean() for at in range(3)]
        for _ in lived(world, people, 104)
    ]
    return (
        Panel(
            "weeks since the programme began",
            "enrolled (%)",
            tuple(
                Series(name, np.arange(1, 105), 100 * np.array(share)[:, at])
                for at, name in ((2, "heavy buyers"), (1, "middle third"), (0, "light buyers"))
            ),
            y_range=(0.0, 100.0),
        ),
    )


def tier() -> Panels:
    """Rate and hazard by tier, at the far end of the ranges."""
    tiers = np.arange(4)
    response = only(
        "tier",
        tier_log_rate=largest("tier_log_rate"),
        tier_log_hazard=largest("tier_log_hazard"),
    )
    found = [expected(response, tier=int(t)) for t in tiers]
    plain = [expected(only("tier"), tier=int(t)) for t in tiers]
    return (
        Panel(
            "tier",
            RATE,
            (
                Series("end of the range", tiers, [e.rate for e in found], "dots"),
                Series("literature: none", tiers, [e.rate for e in plain], "dashed"),
            ),
        ),
        Panel(
            "tier",
            CHURN,
            (
                Series("end of the range", tiers, [e.hazard / _HAZARD for e in found], "dots"),
                Series("literature: none", tiers, [e.hazard / _HAZARD for e in plain], "dashed"),
            ),
        ),
    )


def tier_change() -> Panels:
    """Rate and hazard after a rise and after a fall of the tier."""
    weeks, response = np.arange(1, 53), only("tier_change")
    rise, fall = ({0: {"tier_change": change}} for change in (1, -1))

    def after(factors: Callable[..., list[float]], event: Mapping[int, Any]) -> list[float]:
        return factors(response, 53, event)[1:]

    return (
        Panel(
            "weeks after the change",
            RATE,
            (
                Series("rise", weeks, after(rate_factors, rise)),
                Series("fall", weeks, after(rate_factors, fall)),
            ),
        ),
        Panel(
            "weeks after the change",
            CHURN,
            (
                Series("rise", weeks, after(hazard_factors, rise)),
                Series("fall", weeks, after(hazard_factors, fall)),
            ),
        ),
    )


def goal_gradient() -> Panels:
    """Weeks between purchases on the way to a reward: a stamp card of ten."""
    response = only("goal_gradient", points_use_probability=1.0)
    world = quiet_world(programme=plain_programme(10))._replace(response=response)
    customers = twins(50_000, rate=1.0, basket=100.0)
    stamps, count = [], []
    for _ in range(40):
        stamps.append(customers.account["points"] % 10)
        count.append(bought(world, customers)[0])
    had, did = np.concatenate(stamps), np.concatenate(count)
    points = np.arange(10)

    def rule(shape: int) -> list[float]:
        bent = replace(response, goal_gradient_shape=shape)
        return [1 / expected(bent, goal_progress=p / 10).rate for p in points]

    usual = response.goal_gradient_shape
    return (
        Panel(
            "stamps on a card of ten (dots: simulated)",
            "weeks between purchases",
            (
                Series(f"goal_gradient_shape {usual}", points, rule(usual)),
                Series("", points, [1 / did[had == p].mean() for p in points], "dots"),
                *(
                    Series(f"goal_gradient_shape {shape}", points, rule(shape), "dashed")
                    for shape in row("response.goal_gradient_shape").range
                    if shape != usual
                ),
            ),
        ),
    )


def momentum() -> Panels:
    """Rate before and after a reward is taken, in week 0, with a reward within reach till then."""
    happens = {8: {"rewards": 1, "received": 1}}
    rate = rate_factors(only("momentum"), 21, happens, ready=(5, 6, 7, 8))
    return (
        Panel(
            "weeks from the reward taken (within reach for three weeks before)",
            "purchase rate, change (%)",
            (Series("", np.arange(-8, 13), 100 * (np.array(rate) - 1), "bars"),),
        ),
    )


def saturation() -> Panels:
    """Lift of membership by purchase rate, with and without saturation."""
    own = np.linspace(-3.0, 3.0, 25)

    def lift(*mechanisms: str) -> list[float]:
        response = only(*mechanisms)
        rates = (
            [expected(response, traits={"log_rate": o}, enrolled=flag).rate for o in own]
            for flag in (1, 0)
        )
        return [100 * (one / other - 1) for one, other in zip(*rates, strict=True)]

    return (
        Panel(
            "customer's purchase rate, relative to the typical one",
            "membership adds (%)",
            (
                Series("with saturation", np.exp(own), lift("membership", "saturation")),
                Series("without", np.exp(own), lift("membership"), "dashed"),
            ),
            x_log=True,
            y_range=(0.0, 9.0),
        ),
    )


def pull_forward() -> Panels:
    """Purchases with a redeemed discount in week 0 against the same customers without."""
    response = only(
        "offers", "pull_forward", redemption_logit=KindEffects(ALWAYS), redemption_sd=0.0,
        offer_log_rate_sd=0.0,
    )  # fmt: skip
    world = quiet_world(offers=(COUPON,))._replace(response=response)
    promoted = bought(world, twins(100_000), 12, {2: EMAIL}).mean(axis=1)
    quiet = bought(world, twins(100_000), 12).mean(axis=1)
    return (
        Panel(
            "weeks from the promotion (simulated)",
            "purchases, change (%)",
            (Series("", np.arange(-2, 10), 100 * (promoted / quiet - 1), "bars"),),
        ),
    )


def fatigue() -> Panels:
    """Rate during and after eight weekly messages that were opened."""
    messages = {week: {"kind": RECOGNITION, "contacted": 1} for week in range(8)}
    weeks, end = np.arange(24), largest("fatigue_log_rate")
    return (
        Panel(
            "week (an opened message in each of weeks 0 to 7)",
            RATE,
            tuple(
                Series(
                    label, weeks, rate_factors(only("fatigue", fatigue_log_rate=size), 24, messages)
                )
                for label, size in (
                    ("literature: none", literature().fatigue_log_rate),
                    (f"stress, {end / 2:g} per message", end / 2),
                    (f"stress, {end:g} per message", end),
                )
            ),
        ),
    )


def deal_waiting() -> Panels:
    """Rate at full price while discounts come, and after they stop."""
    weeks, last = np.arange(104), 52
    end = largest("deal_waiting")

    def curve(every: int, size: float) -> list[float]:
        deals = {week: {"kind": DISCOUNT, "contacted": 1} for week in range(0, last, every)}
        return rate_factors(only("deal_waiting", deal_waiting=size), 104, deals)

    usual = literature().deal_waiting
    return (
        Panel(
            "week (discounts until week 52)",
            "rate at full price, relative",
            (
                Series("every 8 weeks", weeks, curve(8, usual)),
                Series("every 4 weeks", weeks, curve(4, usual)),
                Series("every 2 weeks", weeks, curve(2, usual)),
                Series(f"every 2 weeks, deal_waiting {end:g}", weeks, curve(2, end), "dashed"),
            ),
        ),
    )


def reward_retention() -> Panels:
    """Hazard after a reward, and after a second one."""
    weeks, response = np.arange(40), only("reward_retention")
    one, two = {2: {"received": 1}}, {2: {"received": 1}, 10: {"received": 1}}
    return (
        Panel(
            "week",
            CHURN,
            (
                Series("reward in week 2", weeks, hazard_factors(response, 40, one)),
                Series("and in week 10", weeks, hazard_factors(response, 40, two), "dashed"),
            ),
        ),
    )


def proactive_contact() -> Panels:
    """Customers lost, all contacted in week 0, against none."""
    weekly = -math.log(1 - 0.06) / 13
    end = largest("contact_log_hazard")
    world = quiet_world(offers=(THANKS,))

    def lost(size: float, plan: Plan) -> NDArray[np.float64]:
        raised = world._replace(response=only("proactive_contact", contact_log_hazard=size))
        there = alive(raised, twins(100_000, rate=0.1, hazard=weekly), 26, plan)
        return 100 * (1 - there.mean(axis=1))

    weeks = np.arange(27)
    usual = literature().contact_log_hazard
    return (
        Panel(
            "weeks since the contact (simulated)",
            "customers lost (%)",
            (
                Series(f"contact, hazard × {math.exp(end):.1f}", weeks, lost(end, {0: EMAIL})),
                Series(
                    f"contact, literature (× {math.exp(usual):g})", weeks, lost(usual, {0: EMAIL})
                ),
                Series("no contact", weeks, lost(end, {}), "dashed"),
            ),
        ),
    )


def opt_out() -> Panels:
    """Customers still reachable by e-mail, by how often they are written to."""
    response = only("opt_out", "attention")
    world = quiet_world(offers=(THANKS,))._replace(response=response)

    def reachable(every: int) -> list[float]:
        customers = twins(20_000, rate=0.1)
        customers.traits["openness"] = grocery().membership.openness["email"]
        plan = dict.fromkeys(range(0, 104, every), EMAIL)
        return [
            100 * customers.account["consent"][:, 0].mean()
            for _ in lived(world, customers, 104, plan)
        ]

    return (
        Panel(
            "week (simulated)",
            "still reachable (%)",
            tuple(
                Series(label, np.arange(1, 105), reachable(every))
                for label, every in (
                    ("a message every week", 1),
                    ("every 2 weeks", 2),
                    ("every 4 weeks", 4),
                )
            ),
        ),
    )


def satisfaction() -> Panels:
    """Satisfaction after what may happen in week 2, and the hazard it makes."""
    weeks, response = np.arange(40), only("satisfaction")
    happenings: tuple[tuple[str, dict[int, dict[str, int]]], ...] = (
        ("a reward", {2: {"received": 1}}),
        ("recognition", {2: {"kind": RECOGNITION, "contacted": 1}}),
        (
            "six weekly messages",
            {week: {"kind": POINTS, "contacted": 1} for week in range(2, 8)},
        ),
        ("a fall of the tier", {2: {"tier_change": -1}}),
    )
    paths = [(name, weeks_of(response, 40, event)) for name, event in happenings]
    return (
        Panel(
            "week",
            "satisfaction (sd)",
            tuple(Series(name, weeks, [s for _, _, s in path]) for name, path in paths),
        ),
        Panel(
            "week",
            CHURN,
            tuple(Series("", weeks, [h for _, h, _ in path]) for _, path in paths),
        ),
    )


def competitor() -> Panels:
    """Rate and hazard through a year with a rival's campaign every quarter."""
    planned = CompetitorParameters(every_weeks=13, first_week=8, weeks=2)
    strength = calendar(grocery().season, planned)["competitor"]
    weeks, response = np.arange(strength.size), only("competitor")

    def through(sensitivity: float) -> list[Intensities]:
        traits = {"price_sensitivity": sensitivity}
        return [expected(response, traits=traits, competitor=float(s)) for s in strength]

    runs = [(f"price sensitivity {s:g}", through(s)) for s in (0.5, 1.0, 2.0)]
    return (
        Panel(
            "week of the year",
            RATE,
            tuple(Series(name, weeks, [e.rate for e in run], "steps") for name, run in runs),
        ),
        Panel(
            "week of the year",
            CHURN,
            tuple(
                Series(name, weeks, [e.hazard / _HAZARD for e in run], "steps")
                for name, run in runs
            ),
        ),
    )


def neighbours() -> Panels:
    """Rate by rewards that neighbours told of lately."""
    response, heard = only("neighbours"), np.linspace(0.0, 6.0, 25)
    return (
        Panel(
            "rewards that neighbours told of, fading",
            RATE,
            (Series("", heard, [expected(response, state={"buzz": h}).rate for h in heard]),),
        ),
    )


def contagion() -> Panels:
    """Hazard after neighbours left in week 0: the rule, and deaths in a market."""
    weeks, n, hazard = 16, 120_000, 0.03
    world = quiet_world()._replace(response=only("contagion"))
    member = np.arange(n) % 3
    series = []
    for gone in (2, 1):
        customers = twins(n, rate=0.1)
        customers.traits["hazard"] = np.where(
            member < gone, 1e6, np.where(member == 2, hazard, 0.0)
        )
        market = LoyaltyMarket(world, customers, KEY, network=friends(n, 3))
        rule, observed = [], []
        for _ in range(weeks):
            before = customers.state[member == 2].copy()
            rule.append(
                expected(world.response, state={"defections": before["defections"][0]}).hazard
                / _HAZARD
            )
            market.step()
            died = (before["alive"] > 0) & (customers.state["alive"][member == 2] == 0)
            observed.append(-math.log1p(-died.sum() / before["alive"].sum()) / hazard)
        label = f"{gone} neighbour{'s' if gone > 1 else ''} left in week 0"
        series.append(Series(label, np.arange(weeks), rule))
        series.append(Series("", np.arange(weeks), observed, "dots"))
    return (Panel("week (line: rule, dots: simulated)", CHURN, tuple(series)),)


def referral() -> Panels:
    """Chance that a prospect joins in a week by rewards that neighbours told of."""
    heard = np.linspace(0.0, 6.0, 25)
    record = behaviour_record(only("referral"), Dynamics())[0]
    who = twins(1)

    def chance(buzz: float) -> float:
        who.state["buzz"] = buzz
        return -100 * math.expm1(-sum(joining(who.state[0], record)))

    return (
        Panel(
            "rewards that neighbours told of, fading",
            "prospects joining a week (%)",
            (Series("", heard, [chance(h) for h in heard]),),
        ),
    )


def season() -> Panels:
    """Purchases and baskets through the year of a grocer."""
    year = calendar(grocery().season)
    weeks = np.arange(year.size)
    world = quiet_world(season=grocery().season)
    runs = [
        (o["purchases"].mean() / 4.0, o["gross"].sum() / o["purchases"].sum() / 1000.0)
        for o in lived(world, twins(40_000), weeks.size)
    ]
    return (
        Panel(
            "week of the year (line: rule, dots: simulated)",
            "relative to the year's mean",
            (
                Series("purchases", weeks, np.exp(year["log_rate"])),
                Series("", weeks, [p for p, _ in runs], "dots"),
                Series("baskets", weeks, year["spend"]),
                Series("", weeks, [b for _, b in runs], "dots"),
            ),
        ),
    )


def drift() -> Panels:
    """Rates of five customers through three years, and how long a rate is remembered."""
    world = quiet_world()._replace(dynamics=dynamics_from(GROCERY))
    people = draw_population(GROCERY, 20_000, KEY)
    people.traits["hazard"] = 0.0
    path = [people.state["drift"].astype(float)]
    path += [people.state["drift"].astype(float) for _ in lived(world, people, 156)]
    drifted = np.array(path)
    usual = np.exp(people.traits["log_rate"].astype(float))
    lags = np.arange(0, 157, 12)
    return (
        Panel(
            "week",
            "purchases per week",
            tuple(Series("", np.arange(157), usual[c] * np.exp(drifted[:, c])) for c in range(5)),
            y_log=True,
            title="five customers",
        ),
        Panel(
            "weeks apart (20,000 customers)",
            "correlation of log rates",
            (
                Series(
                    "", lags, [np.corrcoef(drifted[0], drifted[lag])[0, 1] for lag in lags], "dots"
                ),
            ),
            y_range=(0.0, 1.05),
        ),
    )


def survey() -> Panels:
    """Answers of customers at three levels of satisfaction."""
    ask = replace(grocery().survey, every_weeks=1, answer_probability=1.0)
    panels = []
    for name, values, question in (
        ("nps", np.arange(11), "recommendation, 0 to 10"),
        ("csat", np.arange(1, 6), "satisfaction, 1 to 5"),
    ):
        series = []
        for level in (-1.0, 0.0, 1.0):
            customers = twins(50_000, rate=0.1)
            response = only("satisfaction", satisfaction_weeks=520.0)
            customers.state["satisfaction"] = level
            world = quiet_world(dynamics={"survey": ask})._replace(response=response)
            for outcome in lived(world, customers, 1):
                given = outcome[name].astype(int) - (1 if name == "nps" else 0)
            share = [100 * (given == value).mean() for value in values]
            name_of_it = f"satisfaction {level:+g} sd" if level else "usual satisfaction"
            series.append(Series(name_of_it.replace("-", "−"), values, share))
        panels.append(Panel(question, "answers (%)", tuple(series)))
    return tuple(panels)


def subscription() -> Panels:
    """Accounts and truth in a fitness app with and without a fee, and cancelling by habit."""
    app: WorldConfig = load_option("world", "fitness_app")
    posterior = app.population.posterior

    def accounts(period_weeks: int, fee: float) -> tuple[list[float], list[float]]:
        paid = replace(app.subscription, period_weeks=period_weeks, fee=fee, cancel_probability=0.0)
        dynamics = dynamics_from(
            posterior, close_account_probability=app.close_account_probability, subscription=paid
        )
        people = draw_population(posterior, 20_000, KEY, replace(app.membership, prospect_share=0))
        held, there = [100.0], [100.0]
        for _ in lived(World(only(), dynamics, filter_from(posterior)), people, 104):
            held.append(100 * (people.account["closed"] == 0).mean())
            there.append(100 * (people.state["alive"] > 0).mean())
        return held, there

    quarterly, there = accounts(13, app.subscription.fee)
    free, _ = accounts(13, 0.0)
    visits = np.linspace(0.0, 5.0, 26)
    record = behaviour_record(only(), Dynamics(subscription=app.subscription))[0]
    who = twins(1)

    def chance(habit: float) -> float:
        who.state["habit"] = habit
        return float(100 * cancelling(who.state[0], record))

    weeks = np.arange(105)
    return (
        Panel(
            "week (world fitness_app, nobody cancels)",
            "customers (%)",
            (
                Series("account open, no fee", weeks, free),
                Series("account open, quarterly fee", weeks, quarterly),
                Series("truly there", weeks, there, "dashed"),
            ),
            y_range=(50.0, 100.0),
        ),
        Panel(
            "visits per week of late",
            "cancel when the fee is due (%)",
            (Series("", visits, [chance(v) for v in visits]),),
            y_range=(0.0, 10.0),
        ),
    )


def _ring(people: Customers, homophily: float) -> NDArray[np.int64]:
    """Rows in their order on the ring, walked along a network of nearest neighbours only."""
    ring = word_of_mouth(people, NetworkParameters("small_world", 2, 0.0, homophily), KEY)
    assert ring is not None
    order = [0]
    while len(order) < people.n:
        at = ring.start[order[-1]]
        order.append(next(int(o) for o in ring.neighbours[at : at + 2] if o not in order))
    return np.array(order)


def word_of_mouth_graph() -> Panels:
    """Two dozen customers and their links at three shares of rewired links."""
    n, homophily = 24, 0.9
    people = draw_population(GROCERY, n, KEY)
    angle = np.empty(n)
    angle[_ring(people, homophily)] = 2 * np.pi * np.arange(n) / n
    x, y = np.cos(angle), np.sin(angle)
    heavy = people.state["drift"] > np.median(people.state["drift"])
    panels = []
    for rewiring, title in ((0.0, "rewiring 0"), (0.1, "rewiring 0.1"), (1.0, "rewiring 1")):
        network = word_of_mouth(
            people, NetworkParameters("small_world", 4, rewiring, homophily), KEY
        )
        assert network is not None
        own = np.repeat(np.arange(n), np.diff(network.start))
        pairs = np.column_stack((own, network.neighbours))[own < network.neighbours]
        gap = np.full((len(pairs), 1), np.nan)
        panels.append(
            Panel(
                "",
                "",
                (
                    Series(
                        "",
                        np.hstack((x[pairs], gap)).ravel(),
                        np.hstack((y[pairs], gap)).ravel(),
                        "links",
                    ),
                    Series("heavy buyers", x[heavy], y[heavy], "dots"),
                    Series("light buyers", x[~heavy], y[~heavy], "dots"),
                ),
                title=title,
                bare=True,
            )
        )
    return tuple(panels)


def joining_over_time() -> Panels:
    """Prospects who became customers, unasked and through friends, in a market with rewards."""
    membership = MembershipParameters(prospect_share=0.3)
    people = draw_population(GROCERY, 6000, KEY, membership)
    world = World(
        only("redemption", "referral"),
        dynamics_from(GROCERY, join_hazard=0.002),
        filter_from(GROCERY),
        programme=plain_programme(500),
        network=NetworkParameters("small_world"),
    )
    prospects = int((people.state["prospect"] > 0).sum())
    market = LoyaltyMarket(world, people, KEY, decider=Planned({}))
    counts = np.zeros((105, 2))
    for week in range(1, 105):
        market.step()
        how = people.outcome["joined"]
        counts[week] = counts[week - 1] + [(how == 1).sum(), (how == 2).sum()]
    share = 100 * counts / prospects
    return (
        Panel(
            "week (simulated)",
            "prospects who joined (%)",
            (
                Series("through friends who got rewards", np.arange(105), share[:, 1]),
                Series("unasked, hazard 0.002 a week", np.arange(105), share[:, 0]),
            ),
        ),
    )


FIGURES: dict[str, Callable[[], Panels]] = {
    "attention": attention,
    "offers": offers,
    "basket_uplift": basket_uplift,
    "category": category,
    "redemption": redemption,
    "membership": membership,
    "enrolment": enrolment,
    "tier": tier,
    "tier_change": tier_change,
    "goal_gradient": goal_gradient,
    "momentum": momentum,
    "saturation": saturation,
    "pull_forward": pull_forward,
    "fatigue": fatigue,
    "deal_waiting": deal_waiting,
    "reward_retention": reward_retention,
    "proactive_contact": proactive_contact,
    "opt_out": opt_out,
    "satisfaction": satisfaction,
    "competitor": competitor,
    "neighbours": neighbours,
    "contagion": contagion,
    "referral": referral,
    "season": season,
    "drift": drift,
    "survey": survey,
    "subscription": subscription,
    "word_of_mouth": word_of_mouth_graph,
    "joining": joining_over_time,
}


def panels() -> Iterator[tuple[str, Panels]]:
    """Every figure's name and panels."""
    for name, make in FIGURES.items():
        yield name, make()
