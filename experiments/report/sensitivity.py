"""Page, console text and notebook view of a sensitivity analysis."""

from collections.abc import Mapping
from typing import Any

from experiments.report import document
from experiments.report import sensitivity_figures as figures
from experiments.report import sensitivity_words as words
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
from experiments.report.simulation_words import by_policy
from experiments.report.wording import (
    NOTHING,
    compact,
    decimal,
    interval,
    number_or_none,
    part,
    percent,
    plain,
    response_name,
    rows,
    significant,
)

Summary = Mapping[str, Any]
Row = Mapping[str, Any]

_SHOWN = 10

_TERMS = (
    (
        "Driver, minor, below noise",
        "Drivers are the fewest assumptions above noise that have {cover} of the sum of all "
        "squared mu* above noise, {most} at most. Below noise: mu* is not above the noise.",
    ),
    (
        "mu*",
        "Mean size of the change of the answer when the assumption goes over its whole range, the "
        "others being anywhere in theirs ({trajectories} trajectories of Morris on {levels} "
        "levels; ± is a {level} bootstrap interval over trajectories).",
    ),
    (
        "sigma",
        "Standard deviation of that change between places. Large next to mu*: the effect is curved "
        "or depends on other assumptions.",
    ),
    (
        "Noise",
        "What luck may make of such a change: two standard errors, from how much the same change "
        "differs between {cohorts} cohorts of {customers} customers. Every set of values meets "
        "the same cohorts with the same luck.",
    ),
    (
        "S1, ST",
        "Share of the variance of the answer that goes with the assumption by itself (S1), and "
        "with all it does together with others (ST), while the drivers alone are drawn "
        "({samples} × (drivers + 2) sets of values of Saltelli; {level} bootstrap intervals).",
    ),
    (
        "At either end",
        "The answer with that assumption at an end of its range and all others at their defaults, "
        "{luck_cohorts} cohorts.",
    ),
    (
        "Whole numbers",
        "Are drawn as whole numbers, each equally likely.",
    ),
)


def render_sensitivity(summary: Summary) -> str:
    """One offline HTML page.

    Parameters
    ----------
    summary
        ``Sensitivity.summary``, which is summary.json too.
    """
    sections = (
        _answer(summary),
        _strength(summary),
        _all_at_once(summary),
        _assumptions(summary),
        _kpis(summary),
        _left_out(summary),
        _definitions(summary),
        _made(summary),
    )
    body = _header(summary) + tag("main", Markup("".join(sections)))
    return document(f"{words.question(summary)} ({summary.get('name')})", Markup(body))


def summary_text(summary: Summary) -> str:
    """What the console shows, at most 100 columns wide."""
    answer = words.answer_of(summary)
    kpi = answer.get("name")
    lines = ["", *wrapped(words.headline(summary)), ""]
    lines += [f"{words.kpi_title(kpi)} ({answer.get('unit')})"]
    head = ["", "range", "at low", "at high", "mu*", "noise", "ST", "verdict"]
    body = []
    for row in words.by_rank(summary)[:_SHOWN]:
        found, swing = words.indices(summary, row), part(row, "swing")
        body.append(
            [
                words.assumption_name(row["key"])[:36],
                interval(compact(row.get("low")), compact(row.get("high"))),
                *(words.amount(kpi, part(swing, end).get("mean")) for end in ("low", "high")),
                words.size(kpi, found.get("mu_star")),
                words.size(kpi, found.get("noise")),
                percent(found.get("ST")),
                str(found.get("verdict")),
            ]
        )
    lines += aligned([head, *body])
    others = len(rows(summary, "assumptions")) - len(body)
    if others > 0:
        lines.append(f"and {others} more in sensitivity.csv and report.html")
    lines.append("")
    base = [*words.findings(summary)[:2], *words.cautions(summary)]
    for lead, text in base:
        lines += wrapped(f"- {lead} {text}", "  ")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def notebook_view(summary: Summary) -> str:
    """The answer and the assumptions that were varied, as HTML without script."""
    return paragraph(tag("strong", words.headline(summary))) + _table(summary)


# --------------------------------------------------------------------------------- the page


def _header(summary: Summary) -> Markup:
    policy = plain(summary.get("policy")).lower()
    offers = "no offers" if policy == "no offers" else f"offers by {policy}"
    about = (
        f"World “{plain(summary.get('world'))}”, response world “"
        f"{response_name(summary.get('response'))}”, "
        f"{'' if by_policy(summary) else f'{offers}; '}{decimal(summary.get('weeks'))} weeks. "
        f"{len(rows(summary, 'assumptions'))} assumptions were varied over their plausible ranges. "
        "Money in currency units."
    )
    return tag(
        "header",
        Markup(
            paragraph(
                f"loyaltylab · sensitivity {summary.get('name') or NOTHING}", class_="eyebrow"
            )
            + tag("h1", words.question(summary))
            + paragraph(about, class_="about")
        ),
    )


def _answer(summary: Summary) -> Markup:
    answer = words.answer_of(summary)
    drawn = figure(
        "The answer at either end of each assumption",
        figures.tornado(summary),
        f"{words.kpi_title(answer.get('name'))} in {answer.get('unit')}. "
        "One assumption moved at a time, the others at their defaults (dotted line). The numbers "
        "at the bars are the ends of the range; where a bar has one side, the default is the other "
        "end.",
    )
    return section(
        "answer",
        "The answer",
        paragraph(words.headline(summary), class_="headline"),
        drawn,
        _statements(words.findings(summary)),
        tag("h3", "What these numbers do not show"),
        _statements(words.cautions(summary)),
    )


def _statements(statements: list[Any]) -> Markup:
    return bullets(Markup(tag("strong", lead) + " " + escape(text)) for lead, text in statements)


def _strength(summary: Summary) -> Markup:
    numbered = ", ".join(
        f"{at}\u00a0{words.assumption_name(row['key'])}"
        for at, row in enumerate(words.of_verdict(summary, "driver"), 1)
    )
    drawn = side_by_side(
        figure(
            "Screening (Morris)",
            figures.screening(summary),
            f"{numbered}. To the right: strong. Above the dotted line: what it does depends on the "
            "others, or is curved.",
        ),
        figure(
            "Share of the variance (Sobol)",
            figures.variance(summary),
            "Only these were drawn, the others stayed at their defaults. Lines are "
            f"{percent(summary.get('confidence'))} intervals. ST well above S1: it works through "
            "others.",
        ),
    )
    return section("strength", "How strongly each one works", drawn)


def _all_at_once(summary: Summary) -> Markup:
    drawn = figure(
        "The answer over all draws",
        figures.spread(summary),
        "Every assumption drawn at once, each value of its range equally likely. Dotted: at the "
        "defaults.",
    )
    return section("spread", "All guesses at once", drawn) if drawn else Markup("")


def _assumptions(summary: Summary) -> Markup:
    return section("assumptions", "Every assumption that was varied", _table(summary))


def _table(summary: Summary) -> Markup:
    kpi = words.answer_of(summary).get("name")
    columns = [
        Column("Assumption", "text"),
        Column("What it is, and its source", "text"),
        Column("Default", note="range"),
        Column("mu*", note="± interval"),
        Column("sigma"),
        Column("Noise"),
        Column("S1", note="± interval"),
        Column("ST", note="± interval"),
        Column("Answer", note="at its low end"),
        Column("Answer", note="at its high end"),
    ]
    groups = [
        Group(title, [_cells(summary, row, str(kpi)) for row in words.of_verdict(summary, name)])
        for name, title in words.VERDICTS.items()
    ]
    return table(f"Effects on: {words.kpi_title(kpi).lower()}", columns, *groups)


def _cells(summary: Summary, row: Row, kpi: str) -> list[object]:
    found, swing = words.indices(summary, row), part(row, "swing")
    name = words.assumption_name(row["key"])
    unit = f" ({row['unit']})" if row.get("unit") else ""
    ends = interval(compact(row.get("low")), compact(row.get("high")))
    return [
        _wide(name, _code(row["key"]), "8rem"),
        _wide(f"{row.get('meaning')}{unit}", f"{row.get('status')}: {row.get('source')}", "13rem"),
        Markup(escape(compact(row.get("default"))) + tag("small", Markup(f"<br>{escape(ends)}"))),
        _plus_minus(
            words.size(kpi, found.get("mu_star")), words.size(kpi, found.get("mu_star_conf"))
        ),
        words.size(kpi, found.get("sigma")),
        words.size(kpi, found.get("noise")),
        *(
            _plus_minus(
                percent(found.get(index)).removesuffix(" %"), percent(found.get(f"{index}_conf"))
            )
            for index in ("S1", "ST")
        ),
        *(words.amount(kpi, part(swing, end).get("mean")) for end in ("low", "high")),
    ]


def _wide(text: str, below: str, width: str) -> Markup:
    """A cell of two lines that is not squeezed by its neighbours."""
    small = tag("small", Markup("<br>" + escape(below)), class_="note")
    return tag("div", Markup(escape(text) + small), style=f"min-width:{width}")


def _plus_minus(value: str, half: str) -> str:
    return value if NOTHING in (value, half) else f"{value} ± {half}"


def _kpis(summary: Summary) -> Markup:
    body = []
    for kpi in rows(summary, "kpis"):
        name = kpi["name"]
        base, spread = part(kpi, "base"), part(kpi, "spread")
        title = escape(words.kpi_title(name)) + tag("small", Markup("<br>" + escape(kpi["unit"])))
        ends = (words.amount(name, spread.get(end)) for end in ("q05", "q95"))
        strongest = "<br>".join(escape(text) for text in _strongest(summary, name))
        body.append(
            [
                Markup(title),
                words.amount(name, base.get("mean")),
                words.size(name, kpi.get("luck_sd")),
                interval(*ends),
                Markup(strongest or NOTHING),
            ]
        )
    return section(
        "kpis",
        "What drives the other KPIs",
        table(
            "KPIs and their strongest assumptions",
            [
                Column("KPI", "text"),
                Column("At the defaults"),
                Column("Luck", note="sd between cohorts"),
                Column("All guesses at once", note="5 to 95 % of draws"),
                Column("Strongest", "text", "mu* of those above noise"),
            ],
            Group("", body),
        ),
    )


def _strongest(summary: Summary, kpi: str) -> list[str]:
    found = [(row, part(part(row, "kpis"), kpi)) for row in rows(summary, "assumptions")]
    above = [pair for pair in found if pair[1].get("verdict") in ("driver", "minor")]
    above.sort(key=lambda pair: -(number_or_none(pair[1].get("mu_star")) or 0.0))
    return [
        f"{words.assumption_name(row['key'])} {words.size(kpi, one.get('mu_star'))}"
        for row, one in above[:3]
    ]


def _left_out(summary: Summary) -> Markup:
    reasons: dict[str, list[str]] = {}
    for row in rows(summary, "left_out"):
        reasons.setdefault(str(row.get("reason")), []).append(str(row.get("key")))
    body = [
        [reason.capitalize() if reason.islower() else reason, str(len(keys)), _codes(keys)]
        for reason, keys in sorted(reasons.items(), key=lambda pair: -len(pair[1]))
    ]
    return section(
        "left-out",
        "What was left out, and why",
        table(
            "Assumptions that were not varied",
            [Column("Why", "text"), Column("Number"), Column("Assumptions", "text")],
            Group("", body),
        ),
    )


def _codes(keys: list[str]) -> Markup:
    return Markup(", ".join(map(_code, keys)))


def _code(key: object) -> Markup:
    """A key that breaks between its words."""
    text = escape(key)
    for sign in "._":
        text = Markup(text.replace(sign, f"{sign}<wbr>"))
    return tag("code", text)


def _definitions(summary: Summary) -> Markup:
    design = part(summary, "design")
    numbers = {
        "cover": percent(design.get("cover")),
        "most": decimal(design.get("most")),
        "trajectories": decimal(design.get("trajectories")),
        "levels": decimal(design.get("levels")),
        "samples": decimal(design.get("samples")),
        "cohorts": decimal(summary.get("cohorts")),
        "customers": decimal(summary.get("customers")),
        "luck_cohorts": decimal(summary.get("luck_cohorts")),
        "level": percent(summary.get("confidence")),
    }
    items = "".join(
        tag("dt", term) + tag("dd", meaning.format(**numbers)) for term, meaning in _TERMS
    )
    return section("reading", "How to read this", tag("dl", Markup(items)))


def _made(summary: Summary) -> Markup:
    design = part(summary, "design")
    facts = [
        ("Response world", summary.get("response_statement") or plain(summary.get("response"))),
        ("Customers from", summary.get("posterior") or f"conf/world, {summary.get('world')}"),
        ("Mechanisms switched off", ", ".join(summary.get("off") or ()) or "none"),
        ("Weeks of warm-up", decimal(summary.get("warmup_weeks"))),
        ("Sets of values", decimal(design.get("points"))),
        ("Markets simulated", decimal(design.get("markets"))),
        ("Seed", str(summary.get("seed"))),
        ("Bootstrap resamples", significant(design.get("resamples"), 4)),
        ("loyaltylab", str(summary.get("version") or NOTHING)),
        ("Created", str(summary.get("created") or NOTHING)),
    ]
    columns = [Column("What", "text"), Column("Value", "text")]
    return section("made", "How this was made", table("The run", columns, Group("", facts)))
