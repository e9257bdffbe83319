"""Section on CDNOW: parameters, hold-out, tracking."""

from collections.abc import Sequence

from experiments.report.markdown import Facts, share, table, tens
from experiments.report.validation.figure import FIGURE
from experiments.report.wording import NOTHING, decimal, interval, join, percent, significant

TRACKING_STEP = 6


def cdnow_section(facts: Facts) -> list[str]:
    """Lines of the section."""
    holdout, likelihood = facts["holdout"], facts["log_likelihood"]
    parameters = [
        [
            f"`{row['parameter']}`",
            symbol,
            decimal(row["published"], 3),
            decimal(row["likeliest"], 3),
            decimal(row["mode"], 2),
            interval(significant(row["low"]), significant(row["high"])),
        ]
        for row, symbol in zip(facts["parameters"], ("r", "α", "s", "β"), strict=True)
    ]
    parameters.append(
        [
            "log-likelihood",
            "",
            decimal(likelihood["published"], 2),
            decimal(likelihood["likeliest"], 2),
            decimal(likelihood["mode"], 2),
            NOTHING,
        ]
    )
    holdouts = [
        ["actual", holdout["actual"], "the log, weeks 40 to 78"],
        [
            "expected, published",
            holdout["published_expected"],
            "Pareto/NBD given each customer's 39 weeks",
        ],
        ["expected, our fit", holdout["expected_given_histories"], "the same, computed here"],
        [
            "expected of a cohort",
            holdout["expected_of_a_cohort"],
            "closed form for random customers who join when the log's did",
        ],
        [
            "simulated",
            holdout["simulated"],
            f"such cohorts in the simulator: mean of {facts['cohorts']}, 95 % of them between "
            f"{tens(holdout['low'])} and {tens(holdout['high'])}",
        ],
    ]
    tracked = [
        row
        for row in facts["tracking"]
        if row["week"] and (row["week"] % TRACKING_STEP == 0 or row["week"] == 39)
    ]
    return [
        "## CDNOW: 39 weeks to fit, 39 held out",
        "",
        f"The published tenth: {decimal(facts['customers'])} customers who first bought in the "
        "first quarter of 1997. A customer's purchases of one day count once and the first day "
        "starts the clock. Published: Fader, Hardie & Lee (2005), “Counting your customers” the "
        "easy way, Marketing Science 24(2), 275–284.",
        "",
        *table(
            (
                "parameter",
                "",
                "published",
                "maximum likelihood here",
                "mode under weak priors",
                "95 % interval",
            ),
            parameters,
        ),
        "",
        "Runs use the mode under weak priors. It is farthest from maximum likelihood where the "
        "log says least, as the width of its intervals shows: the dropout parameters.",
        "",
        "### Hold-out purchases",
        "",
        *table(
            ("", "purchases", "error", "what it is"),
            [
                [
                    name,
                    decimal(value),
                    NOTHING if name == "actual" else share(value, holdout["actual"]),
                    meaning,
                ]
                for name, value, meaning in holdouts
            ],
        ),
        "",
        "### Tracking",
        "",
        f"![Cumulative repeat purchases of CDNOW, actual and simulated]({FIGURE})",
        "",
        *table(
            ("week", "actual", "simulated", "95 % of cohorts", "closed form", "error"),
            [
                [
                    str(row["week"]),
                    decimal(row["actual"]),
                    decimal(row["simulated"]),
                    interval(tens(row["low"]), tens(row["high"])),
                    decimal(row["expected"]),
                    share(row["simulated"], row["actual"]),
                ]
                for row in tracked
            ],
        ),
        "",
        "Repeat purchases since the start, fitted on the first 39 weeks; bounds of the cohorts "
        "to the nearest ten.",
        "",
        "### Where it misses",
        "",
        *_cdnow_misses(facts),
        "",
    ]


def _cdnow_misses(facts: Facts) -> list[str]:
    soon, holdout = facts["soon"], facts["holdout"]
    tracking = facts["tracking"]
    burst = max(
        range(39, len(tracking) - TRACKING_STEP),
        key=lambda week: _gained(tracking, week, "actual") / _gained(tracking, week, "expected"),
    )
    excess = _gained(tracking, burst, "actual") / _gained(tracking, burst, "expected") - 1
    return [
        f"- {outside_of_luck(facts)}",
        f"- In their first {soon['weeks']} weeks customers made {decimal(soon['actual'])} repeat "
        f"purchases where the model expects {decimal(soon['expected'])} "
        f"({share(soon['actual'], soon['expected'])}). A purchase rate that is constant while the "
        "customer lives has no such start.",
        f"- Weeks {burst + 1} to {burst + TRACKING_STEP} of the hold-out brought "
        f"{percent(excess, sign=True)} purchases: a burst, probably of promotion or season, that "
        "39 weeks cannot announce. The world `music_store` has neither season nor campaigns of "
        "its own.",
        "- Given each customer's history the model falls short by "
        f"{percent(1 - holdout['expected_given_histories'] / holdout['actual'], 1)}, as published. "
        "A cohort of random customers falls short by less because it overstates the weeks before. "
        "The simulator adds no error of its own: it follows the closed form within its luck.",
    ]


def outside_of_luck(facts: Facts) -> str:
    """Where the log lies outside what simulated cohorts do."""
    weeks = [
        str(row["week"])
        for row in facts["tracking"]
        if row["week"]
        and row["week"] % TRACKING_STEP == 0
        and not row["low"] <= row["actual"] <= row["high"]
    ]
    where = f"In weeks {join(weeks)}" if weeks else "In no week"
    return f"{where} of the tracking table the log lies outside what luck alone does to cohorts."


def _gained(tracking: Sequence[Facts], week: int, name: str) -> float:
    return float(tracking[week + TRACKING_STEP][name] - tracking[week][name])
