"""What a bundle says about itself, and the assumptions that every report lists."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.response import RESPONSE_FIELDS
from experiments import behaviour_table
from experiments.approvals import approval_facts, approval_of
from experiments.config import Config, DemoConfig, WorldConfig
from experiments.report.limits import approval_sentence


def assumptions(config: Config) -> list[dict[str, Any]]:
    """What the run takes for granted; status M measured, V stated in a source, A assumed.

    Effects come from the behaviour table (experiments/behaviour_table.py): its status and source
    hold for its default; any other value is an assumption of this run.
    """
    rows = [*_surroundings(config.world), *_effects(config), *_rules(config)]
    return [
        {"what": what, "value": value, "status": status, "source": source}
        for what, value, status, source in rows
    ]


_Fact = tuple[str, Any, str, str]


def _surroundings(world: WorldConfig) -> list[_Fact]:
    membership, place = world.membership, f"conf/world, {world.name}"
    rows: list[_Fact] = [
        ("Contribution margin", world.contribution_margin, "A", place),
        ("Leavers who close their account", world.close_account_probability, "A", place),
        ("Customers enrolled in the programme", membership.enrolled_share, "A", place),
        ("Consent by channel", _mapping(membership.consent_share), "A", place),
        ("Attention by channel", _mapping(membership.openness), "A", place),
    ]
    if world.categories:
        rows.append(("Share by category", _mapping(membership.category_shares), "A", place))
    if _rivals(world):
        campaigns = f"every {world.competitor.every_weeks} weeks, {world.competitor.weeks} long"
        rows.append(("Rivals' campaigns", campaigns, "A", place))
    if world.network.kind != "none":
        rows.append(("Word of mouth", f"{world.network.degree} neighbours", "A", place))
    if world.subscription.fee > 0:
        fee = f"{world.subscription.fee:g} every {world.subscription.period_weeks} weeks"
        rows.append(("Subscription fee", fee, "A", place))
    return rows


def _effects(config: Config) -> list[_Fact]:
    """Effects at work, and the mechanisms that are not."""
    response = config.response
    idle = {*config.off, *config.response.off}
    if config.world.network.kind == "none" or "word_of_mouth" in idle:
        idle |= {"neighbours", "contagion", "referral"}
    if not _rivals(config.world):
        idle.add("competitor")
    rows: list[_Fact] = []
    working: dict[str, bool] = {}
    for one in behaviour_table.rows():
        if one.section != "response":
            continue
        name, _, part = one.parameter.partition(".")
        value = getattr(response, name)
        if name == "plugged":
            value = value.get(part, 0.0)
        elif part:
            value = getattr(value, part)
        scale = name != "plugged" and "off" not in RESPONSE_FIELDS[name]
        at_work = one.mechanism not in idle and value != 0 and not scale
        working[one.mechanism] = working.get(one.mechanism, False) or at_work
        if at_work:
            own = value != one.default
            status = "A" if own or one.status == "P" else one.status
            source = f"set for {response.name}, default {one.default:g}" if own else one.source
            rows.append((f"{one.parameter}: {one.meaning} ({one.unit})", value, status, source))
    absent = [mechanism for mechanism, at_work in working.items() if not at_work]
    if absent:
        rows.append(("Mechanisms that do nothing here", ", ".join(absent), "A", response.name))
    return rows


def _rules(config: Config) -> list[_Fact]:
    rows: list[_Fact] = [
        ("Breakage in accrual", config.programme.breakage, "A", "25 to 35 % are typical"),
        (
            "Luck of counts",
            "one uniform per customer-week, by inversion",
            "A",
            "monotone coupling: mean effects do not depend on it, individual effects do",
        ),
    ]
    if isinstance(config, DemoConfig):
        reached = "those a campaign reached" if config.data.contactable == "campaigns" else "all"
        consent = f"enrolled, none vulnerable; consent by e-mail: {reached}"
        rows.append(("Real customers scored", consent, "A", "a transaction log does not tell"))
    return rows


def _rivals(world: WorldConfig) -> bool:
    return world.competitor.every_weeks > 0 or world.competitor.reaction > 0


def model_card(config: DemoConfig, data: str, rows: Sequence[dict[str, Any]]) -> str:
    """Markdown card: purpose, training, evaluation, limits."""
    plan = config.evaluate
    facts = approval_facts(approval_of(config.constraints, config.approvals), config.constraints)
    approved = approval_sentence(facts)
    lines = [
        f"# Model card: {config.name}",
        "",
        "Chooses at most one offer a week per member of a loyalty programme. The network scores;",
        "masks, budget and allocation decide, and travel with it in `manifest.json`.",
        "",
        "## Training",
        f"- {config.train.algorithm}, about {config.train.total_steps:,} customer-weeks, "
        f"seed {config.seed}",
        f"- customers drawn from a posterior fitted to {data}",
        f"- response worlds in training: {', '.join(config.train.responses)} "
        "(assumptions about what offers do, not facts)",
        "",
        "## Evaluation",
        f"{plan.customers:,} test customers, {plan.weeks} weeks, paired with no offers on the same "
        f"luck; {config.data.currency} per customer, {plan.confidence:.0%} intervals.",
        "",
        "| response world | policy | incremental margin | interval | settled | violations |",
        "|---|---|---:|---|---:|---:|",
    ]
    lines += [
        f"| {row['response']} | {row['policy']} | {row['incremental_margin_per_customer']:+.3f} "
        f"| {row['ci_low']:+.3f} to {row['ci_high']:+.3f} | {row['cost']:,.2f} "
        f"| {row['violations']} |"
        for row in rows
    ]
    lines += [
        "",
        "## Limits",
        f"- {approved}",
        "- Where offers do nothing (world null) every contact is a cost; measure before you spend.",
        "- Outputs value and expected_cost come from simulated branches of 13 weeks.",
        "- Customers unlike the log's (other shops, other seasons) are outside what was tested.",
        "- Group is never a feature; vulnerable customers are protected by a mask, not by the net.",
        "",
    ]
    return "\n".join(lines)


def _mapping(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
