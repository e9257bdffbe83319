"""What a bundle says about itself, and the assumptions that every report lists."""

from collections.abc import Sequence
from typing import Any

from experiments.config import DemoConfig


def assumptions(config: DemoConfig) -> list[dict[str, Any]]:
    """What the run takes for granted; status M measured, V stated in a source, A assumed."""
    response, world = config.response, config.world
    membership = world.membership
    effects = response.offer_log_rate
    rows = [
        ("Contribution margin", world.contribution_margin, "A", "conf/world"),
        (
            "Leavers who close their account",
            config.world.close_account_probability,
            "A",
            "conf/world",
        ),
        ("Customers enrolled in the programme", membership.enrolled_share, "A", "conf/world"),
        ("Consent by channel", _mapping(membership.consent_share), "A", "conf/world"),
        ("Attention by channel", _mapping(membership.openness), "A", "conf/world"),
        (
            f"Opened offers, log purchase rate ({response.name})",
            f"discount {effects.discount:+.2f}, points {effects.points:+.2f}, "
            f"free item {effects.free_item:+.2f}, recognition {effects.recognition:+.2f}",
            "A",
            "after Taylor & Neslin 2005; none was found in the Complete Journey campaigns",
        ),
        ("Effects differ between customers by (sd)", response.offer_log_rate_sd, "M", "0 to .19"),
        (
            "Redemption of opened discounts, logit",
            response.redemption_logit.discount,
            "A",
            "so that about 16 % of contacts are redeemed, as in Complete Journey's type A",
        ),
        (
            "Goal gradient, log rate at the goal",
            response.goal_gradient,
            "V",
            "Kivetz, Urminsky & Zheng 2006",
        ),
        (
            "Recent reward, log hazard",
            response.reward_log_hazard,
            "A",
            'Verhoef 2003: "rather small"',
        ),
        ("Pull-forward after a promotion", response.pull_forward, "A", "conf/response"),
        ("Contact fatigue, log rate", response.fatigue_log_rate, "A", "conf/response"),
        (
            "Opt-out per opened contact",
            response.opt_out_per_contact,
            "A",
            "weak sources: .1 to .5 % per e-mail",
        ),
        (
            "Real customers scored",
            "enrolled, none vulnerable; consent by e-mail: "
            + (
                "those a campaign reached"
                if config.data.contactable == "campaigns"
                else "everybody"
            ),
            "A",
            "a transaction log does not tell",
        ),
        ("Breakage in accrual", config.programme.breakage, "A", "25 to 35 % are typical"),
        (
            "Luck of counts",
            "one uniform per customer-week, by inversion",
            "A",
            "monotone coupling: mean effects do not depend on it, individual effects do",
        ),
    ]
    return [
        {"what": what, "value": value, "status": status, "source": source}
        for what, value, status, source in rows
    ]


def model_card(config: DemoConfig, data: str, rows: Sequence[dict[str, Any]]) -> str:
    """Markdown card: purpose, training, evaluation, limits."""
    plan = config.evaluate
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
        "- Where offers do nothing (world null) every contact is a cost; measure before you spend.",
        "- Outputs value and expected_cost come from simulated branches of 13 weeks.",
        "- Customers unlike the log's (other shops, other seasons) are outside what was tested.",
        "- Group is never a feature; vulnerable customers are protected by a mask, not by the net.",
        "",
    ]
    return "\n".join(lines)


def _mapping(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())
