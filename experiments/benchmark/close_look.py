"""Sections of the benchmark's page on what is looked at more closely than by rank."""

import numpy as np

from experiments.benchmark.claims import CLAIMS
from experiments.benchmark.summary import SUBJECT
from experiments.benchmark.targets import Row, Summary, market, share
from experiments.report.markdown import section, table_text
from experiments.report.wording import interval, percent, points_of_percent

_HOLDS = {"yes": "shown", "no": "refuted", "open": "open", "undefined": "undefined"}
_EACH = "each seed, %"


def small_problem(summary: Summary) -> str:
    """Learners against the exact optimum."""
    between, code = summary["small_problem_intervals"], summary["small_problem_code"]
    rows = []
    for name, value in summary["small_problem"].items():
        one = between.get(name, {})
        ends = interval(percent(one.get("low"), 1), percent(one.get("high"), 1))
        each = ", ".join(f"{100 * one_share:.3g}" for one_share in one.get("shares", []))
        rows.append([name, percent(value, 1), ends, each])
    idle = any(0.0 in one.get("shares", []) for one in between.values())
    return section(
        "A small problem with a known optimum",
        "Two hidden kinds of customers, one of which responds; the belief-optimal policy is exact "
        "(`experiments/benchmark/small_problem.py`). Gain as a share of the optimum's, on the same "
        "customers and luck, after a minute of training (20 seconds in a quick look)"
        + (f", by the code with the mark `{code}`" if code else "")
        + ". `myopic` offers whenever it pays by itself, knowing the problem."
        + (" Where a training came to 0, it ended in offering nothing to anybody." if idle else ""),
        table_text(["policy", "share of the optimal gain", "interval over seeds", _EACH], rows),
    )


def against_clairvoyant(summary: Summary) -> str:
    """What the clairvoyant gains, and where it goes."""
    found = summary["clairvoyant"]
    gains = [row for row in found if row["share"] is not None]
    rows = [[market(row), share(row["clairvoyant"]), *_parts(row)] for row in found]
    seeds = ", ".join(str(seed) for seed in summary["reference_seeds"])
    split = [row for row in gains if row["learning"] is not None]
    lead = (
        f"It gains in {len(gains)} of {len(found)} markets, {_mean_of(found, 'clairvoyant')} of "
        "the margin in the mean."
    )
    if split:
        whole = sum(row["clairvoyant"] for row in split)
        parts = {
            part: sum(row[part] * row["clairvoyant"] for row in split) / whole
            for part in ("share", "information", "learning")
        }
        lead += (
            f" Of all of that together the {SUBJECT} reaches {percent(parts['share'])}, not "
            f"knowing costs {percent(parts['information'])} and learning "
            f"{percent(parts['learning'])}."
        )
    return section(
        "Against the clairvoyant",
        "The clairvoyant sees latent states, and no firm can. Its gain is split into what the "
        f"{SUBJECT} reaches, what a {SUBJECT} reaches beyond that if it sees latent states too "
        "(what not knowing costs), and what is left (what learning costs). All in % of the margin "
        f"without offers; in the programme {summary['programme_of_details']} with seed {seeds}, so "
        "without intervals: one draw of customers and luck each.",
        lead if found else "",
        table_text(
            ["market", "clairvoyant", SUBJECT, "not knowing", "learning", f"{SUBJECT}'s share"],
            rows,
        ),
    )


def _parts(row: Row) -> list[str]:
    def of(part: str) -> str:
        return share(None if row[part] is None else row[part] * row["clairvoyant"])

    return [of("share"), of("information"), of("learning"), percent(row["share"])]


def _mean_of(rows: list[Row], key: str) -> str:
    return share(float(np.mean([row[key] for row in rows]))) if rows else ""


def told_wrong(summary: Summary) -> str:
    """What wrong beliefs cost."""
    found = summary["misspecification"]
    rows = [
        [
            f"{row['world']} {row['response']}",
            row["told"],
            str(row["seeds"]),
            share(row["share"]),
            share(row["loss"]),
            interval(share(row["ci_low"]), share(row["ci_high"])),
        ]
        for row in found
    ]
    lead = ""
    if found:
        worst = max(found, key=lambda row: row["loss"])
        lead = (
            f"Of {len(found)} such pairs, being told wrong costs in "
            f"{sum(row['ci_low'] > 0 for row in found)}, helps in "
            f"{sum(row['ci_high'] < 0 for row in found)}, and is undecided or changes nothing in "
            f"the rest (whole intervals). In {sum(row['share'] < 0 for row in found)} the mean is "
            f"below that of no offers. The largest loss is {share(worst['loss'])}: "
            f"{worst['world']} {worst['response']}, told {worst['told']}."
        )
    return section(
        "Told wrong",
        f"The informed {SUBJECT}, trained for another response world or another model of behaviour "
        "(`behaviour`: rates that do not drift), against itself told the truth, in the programme "
        f"{summary['programme_of_details']}. Loss: value told the truth less value told wrong.",
        lead,
        table_text(["market", "told", "seeds", "value", "loss", "interval"], rows),
    )


def claims(summary: Summary) -> str:
    """What the trade press promises, and where that holds."""
    parts = []
    told = ", ".join(dict.fromkeys(f"`{row['policy']}`" for row in summary["trade_press_claims"]))
    for claim in CLAIMS:
        mine = [row for row in summary["trade_press_claims"] if row["claim"] == claim.name]
        if not mine:
            continue
        write = points_of_percent if claim.in_points else _relative
        rows = [
            [
                f"{row['world']} {row['response']}",
                str(row["seeds"]),
                write(row["value"], 1),
                interval(write(row["ci_low"], 1), write(row["ci_high"], 1)),
                row["holds"],
            ]
            for row in mine
        ]
        counts = ", ".join(
            f"{word} in {count}"
            for key, word in _HOLDS.items()
            if (count := sum(row["holds"] == key for row in mine))
        )
        heading = f"### {claim.name}: {counts}, of {len(mine)} markets\n\n"
        heading += f"Measured: {claim.measured}."
        for key in ("yes", "no", "open"):
            where = [f"{row['world']} {row['response']}" for row in mine if row["holds"] == key]
            if 0 < len(where) < len(mine):
                heading += f" {_HOLDS[key].capitalize()} in: {', '.join(where)}."
        parts += [heading, table_text(["market", "seeds", "difference", "interval", "holds"], rows)]
    return section(
        "Claims of the trade press",
        f"The {SUBJECT} ({told}) against the static tiered programme: the same tiers, the same "
        "offer budget, offers to everybody alike. A claim holds where the whole interval is at or "
        "above the least that it promises. The press speaks of a relative rise of the return; here "
        "it is a difference in percentage points, since the static programme's own is often "
        "negative. A return far above may come from hardly spending, and customers may stay "
        "because what drives them away is not sent. Undefined: one of the two, in most cases the "
        f"{SUBJECT}, spends or sends nothing in some seed, so that there is no return to speak of.",
        *parts,
    )


def _relative(value: object, digits: int) -> str:
    return percent(value, digits, sign=True)
