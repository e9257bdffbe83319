"""Page, console text and notebook view of a simulation."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.report import (
    document,
    simulation_draws,
    simulation_evidence,
    simulation_experiment,
)
from experiments.report import simulation_answer as answers
from experiments.report import simulation_words as words
from experiments.report.console_text import aligned, wrapped
from experiments.report.elements import (
    Column,
    Group,
    Markup,
    bullets,
    escape,
    figure,
    paragraph,
    section,
    side_by_side,
    table,
    tag,
)
from experiments.report.figures import GREY
from experiments.report.kpis import panels, programmes
from experiments.report.programme import bonuses, earning, rewards, tiers
from experiments.report.reading import assumptions
from experiments.report.wording import NOTHING, decimal, plain, response_name

if TYPE_CHECKING:
    import pandas as pd

Summary = Mapping[str, Any]

_CONSOLE = (
    "customers",
    "member_share",
    "purchase_frequency",
    "average_order_value",
    "profit_per_customer",
    "programme_cost",
    "offer_cost",
    "points_issued",
    "redemption_rate",
    "breakage_share",
    "liability",
    "liability_per_member",
    "churn_rate",
    "nps",
    "csat",
)
_NAME_WIDTH = 12


def render_simulation(
    summary: Summary, kpis: "pd.DataFrame", against: "pd.DataFrame | None" = None
) -> str:
    """One offline HTML page.

    Parameters
    ----------
    summary
        ``Simulation.summary``, which is summary.json too.
    kpis, against
        One row a week, see ``Simulation``.
    """
    sections = (
        _answer(summary),
        _difference(summary),
        simulation_evidence.effects(summary),
        simulation_evidence.precision(summary),
        simulation_draws.draws(summary),
        simulation_experiment.arms(summary),
        _programmes(summary),
        _by_period(summary),
        _over_time(summary, kpis, against),
        assumptions(summary),
        _definitions(summary),
        _made(summary),
    )
    body = _header(summary) + tag("main", Markup("".join(sections)))
    return document(f"{words.question(summary)} ({summary.get('name')})", Markup(body))


def summary_text(summary: Summary) -> str:
    """What the console shows, at most 100 columns wide."""
    lines = ["", *wrapped(answers.headline(summary)), *wrapped(answers.verdict(summary)), ""]
    columns = words.period_columns(summary)
    heads = [
        ["", *(label for label, _, _ in columns)],
        ["", *(name[:_NAME_WIDTH] for _, name, _ in columns)],
    ]
    kpis = [kpi for kpi in words.shown_kpis(summary) if kpi.name in _CONSOLE]
    body = [
        [
            words.kpi_name(kpi),
            *(words.kpi_value(kpi, column.get(kpi.name)) for _, _, column in columns),
        ]
        for kpi in kpis
    ]
    lines += aligned([*(heads if len(words.names(summary)) > 1 else heads[:1]), *body])
    for response, rows in words.difference_rows(summary):
        ours, theirs = (name[:_NAME_WIDTH] for name in words.names(summary))
        lines += [
            "",
            f"{words.response_title(response)}: per person over "
            f"{decimal(summary.get('weeks'))} weeks",
        ]
        head = ["", ours, theirs, "difference", "interval"]
        lines += aligned([head, *rows])
    lines += simulation_experiment.console(summary)
    lines.append("")
    for lead, text in (*answers.findings(summary), *answers.cautions(summary)):
        lines += wrapped(f"- {lead} {text}", "  ")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def notebook_view(summary: Summary) -> str:
    """The answer and the KPIs by period, as HTML without script."""
    return (
        paragraph(tag("strong", answers.headline(summary)))
        + paragraph(answers.verdict(summary))
        + _period_table(summary, words.shown_kpis(summary))
    )


# --------------------------------------------------------------------------------- the page


def _header(summary: Summary) -> Markup:
    world, policy = plain(summary.get("world")), plain(summary.get("policy")).lower()
    if words.by_policy(summary):
        policy = " or ".join(name.lower() for name in words.names(summary))
    about = (
        f"{decimal(summary.get('customers'))} people of the world “{world}” over "
        f"{decimal(summary.get('weeks'))} weeks; "
        f"{'no offers' if policy == 'no offers' else f'offers by {policy}'}; response world "
        f"“{response_name(summary.get('response'))}”. Money in currency units."
    )
    return tag(
        "header",
        Markup(
            paragraph(f"loyaltylab · simulation {summary.get('name') or NOTHING}", class_="eyebrow")
            + tag("h1", words.question(summary))
            + paragraph(about, class_="about")
        ),
    )


def _answer(summary: Summary) -> Markup:
    return section(
        "answer",
        "The answer",
        paragraph(answers.headline(summary), class_="headline"),
        paragraph(answers.verdict(summary)),
        _statements(answers.findings(summary)),
        tag("h3", "What these numbers do not show"),
        _statements(answers.cautions(summary)),
    )


def _statements(statements: list[Any]) -> Markup:
    return bullets(Markup(tag("strong", lead) + " " + escape(text)) for lead, text in statements)


def _difference(summary: Summary) -> Markup:
    groups = words.difference_rows(summary)
    if not groups:
        return Markup("")
    ours, theirs = words.names(summary)
    return section(
        "difference",
        "What the difference is made of",
        paragraph(
            "Sums over the whole run, per person, paired: the same customers with the same luck. "
            "“If nothing moved anybody” leaves what is handed out; the rest is reaction."
        ),
        table(
            f"{ours} against {theirs.lower()}, per person over "
            f"{decimal(summary.get('weeks'))} weeks",
            [
                Column("What", "text"),
                Column(ours),
                Column(theirs),
                Column("Difference"),
                Column("Interval", note=f"{decimal(100 * float(summary['confidence']))} %"),
            ],
            *(Group(words.response_title(response), rows) for response, rows in groups),
        ),
    )


def _programmes(summary: Summary) -> Markup:
    """The rules of each programme."""
    cards = []
    for side in ("programme",) if words.by_policy(summary) else ("programme", "against"):
        rules = summary.get(side)
        if not rules:
            continue
        text = (
            " ".join(
                filter(None, (earning(rules, ""), bonuses(rules), *words.unpaid(summary, rules)))
            )
            if rules.get("active")
            else "No programme runs: no points, no tiers."
        )
        content = tag("h3", plain(rules.get("name"))) + paragraph(text)
        if rules.get("active"):
            content += rewards(rules, "") + (tiers(rules, "") if len(rules["tiers"]) > 1 else "")
        cards.append(tag("div", Markup(content), class_="card"))
    return section("programmes", "The rules", side_by_side(*cards))


def _by_period(summary: Summary) -> Markup:
    return section(
        "periods",
        "KPIs at the beginning and in the end",
        _period_table(summary, words.shown_kpis(summary)),
    )


def _period_table(summary: Summary, kpis: list[Any]) -> Markup:
    columns = words.period_columns(summary)
    several = len(words.names(summary)) > 1
    heads = [Column(label.capitalize(), note=name if several else "") for label, name, _ in columns]
    rows = [
        [
            Markup(
                escape(words.kpi_name(kpi))
                + (tag("small", " a week") if words.kpi_per_week(kpi) else "")
            ),
            *(words.kpi_value(kpi, column.get(kpi.name)) for _, _, column in columns),
        ]
        for kpi in kpis
    ]
    return table("KPIs by period", [Column("KPI", "text"), *heads], Group("", rows))


def _over_time(summary: Summary, kpis: "pd.DataFrame", against: "pd.DataFrame | None") -> Markup:
    found = panels(summary, kpis, against)
    drawn = side_by_side(*(figure(panel.title, one, panel.caption) for panel, one in found))
    key = [
        Markup(
            tag("strong", name, style=f"color:{colour}")
            + f": {'grey' if colour == GREY else 'blue'}"
        )
        for name, colour in programmes(summary).items()
    ]
    return section(
        "weeks",
        "Week by week",
        paragraph("Lines:", Markup(", ".join(key) + ".")) if len(key) > 1 else "",
        drawn,
    )


def _definitions(summary: Summary) -> Markup:
    items = "".join(
        tag("dt", words.kpi_name(kpi)) + tag("dd", words.kpi_meaning(kpi))
        for kpi in words.shown_kpis(summary)
    )
    return section("reading", "What the KPIs mean", tag("dl", Markup(items)))


def _made(summary: Summary) -> Markup:
    facts = [
        ("Programme", summary.get("programme_statement") or plain(words.names(summary)[0])),
        ("Response world", summary.get("response_statement") or plain(summary.get("response"))),
        ("Customers from", summary.get("posterior") or f"conf/world, {summary.get('world')}"),
        ("Mechanisms switched off", ", ".join(summary.get("off") or ()) or "none"),
        ("Weeks of warm-up", decimal(summary.get("warmup_weeks"))),
        ("Seed", str(summary.get("seed"))),
        ("loyaltylab", str(summary.get("version") or NOTHING)),
        ("Created", str(summary.get("created") or NOTHING)),
    ]
    columns = [Column("What", "text"), Column("Value", "text")]
    return section("made", "How this was made", table("The run", columns, Group("", facts)))
