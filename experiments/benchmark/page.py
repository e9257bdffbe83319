"""docs/benchmark.md: what the benchmark found, made from its JSON."""

from collections.abc import Iterable, Sequence

import numpy as np

from experiments.benchmark.targets import (
    SUBJECT,
    Summary,
    name_of,
    share,
    targets,
    with_interval,
)
from experiments.report.markdown import table
from experiments.report.wording import NOTHING, interval, percent

_SHOWN_MARKETS = 4
_HOLDS = {"yes": "shown", "no": "refuted", "open": "open", "undefined": "undefined"}


def page(summary: Summary, figure: str = "") -> str:
    """The whole page.

    Parameters
    ----------
    summary
        What ``bench policies --json`` prints.
    figure
        Where ``ladder_figure`` was written, seen from the page; empty shows none.
    """
    parts = (
        _head(summary),
        _asked(summary),
        _ladder(summary, figure),
        _ahead(summary),
        _non_inferior(summary),
        _worlds(summary),
        _small(summary),
        _clairvoyant(summary),
        _wrong(summary),
        _claims(summary),
    )
    return "\n".join(part for part in parts if part)


def _head(summary: Summary) -> str:
    done, cells = summary["cells_run"], summary["cells"]
    unfinished = (
        ""
        if done == cells
        else f"\n**Unfinished:** {done:,} of {cells:,} cells have been run for every entry. "
        "Asked and found, the ladder and the distances are of entries that have been run "
        "everywhere; other sections of what there is.\n"
    )
    quick = "\n**A quick look**, not the protocol: fewer cells.\n" if summary["quick"] else ""
    return f"""# Benchmark of policies

Made by `loyaltylab bench policies --write docs/benchmark.md`; the protocol is frozen in
[benchmark-protocol.md](benchmark-protocol.md) (version {summary["protocol_version"]}, digest
`{summary["protocol_digest"]}`). Values are incremental margin as a share of the margin without
offers, paired on the same customers and luck. Intervals are 95 %. *Informed* policies were
trained in the response world that they meet, *robust* ones over all of them and never told which.
{quick}{unfinished}"""


def _asked(summary: Summary) -> str:
    return _section(
        "Asked and found",
        "`yes` and `no` where the whole interval says so, `open` where it holds both answers. Use "
        "of the budget and violations are counted, not estimated. A policy that offers nothing in "
        "more than three quarters of the cells has an interquartile mean of 0.",
        _table(["asked", "found", "met"], targets(summary)),
    )


def _ladder(summary: Summary, figure: str) -> str:
    regret = {name_of(row): row for row in summary["regret"]}
    rows = []
    for row in summary["interquartile_mean"]:
        name = name_of(row)
        mine = [other for other in summary["rows"] if name_of(other) == name]
        rows.append(
            [
                name,
                share(row["value"]),
                interval(share(row["ci_low"]), share(row["ci_high"])),
                share(_mean(other["incremental_share"] for other in mine)),
                share(min(other["incremental_share"] for other in mine)),
                share(regret[name]["mean_regret"]),
                percent(_mean(other["budget_settled"] for other in mine), 1),
                percent(max(other["override_rate"] for other in mine), 1),
            ]
        )
    head = [
        "policy", "interquartile mean", "interval", "mean", "worst market", "mean regret",
        "budget used", "overridden",
    ]  # fmt: skip
    return _section(
        "The ladder",
        "Interquartile mean over all markets and seeds, with a bootstrap interval over seeds: it "
        "leaves out the best and the worst quarter, which the plain mean beside it does not. "
        "Regret: how far a market's mean is behind that of the best entry there. Budget used: "
        "settled, as a share of the offer budget that all have. Overridden: share of proposals "
        "that masks or budgets changed, the largest of any market.",
        f"![The ladder, and the mean by world and response world]({figure})" if figure else "",
        _table(head, rows),
    )


def _ahead(summary: Summary) -> str:
    found: dict[str, dict[str, str]] = {}
    for row in summary["rollout_ahead"]:
        found.setdefault(name_of(row), {})[row["rollout"]] = with_interval(row)
    ours = list(dict.fromkeys(row["rollout"] for row in summary["rollout_ahead"]))
    rows = [[name, *(mine.get(one, NOTHING) for one in ours)] for name, mine in found.items()]
    return _section(
        "How far the rollout is ahead",
        "Differences of interquartile means, paired by cell.",
        _table(["other", *(f"`{one}`" for one in ours)], rows),
    )


def _non_inferior(summary: Summary) -> str:
    rows = []
    for entry in summary["non_inferiority"]:
        worst = entry["markets"][:_SHOWN_MARKETS]
        named = "; ".join(
            f"{m['world']} {m['response']} {m['programme']} ({share(m['low'])})" for m in worst
        )
        more = len(entry["markets"]) - len(worst)
        rows.append(
            [
                name_of(entry),
                str(entry["tested"] - len(entry["markets"])),
                str(len(entry["markets"])),
                named + (f"; and {more} more" if more > 0 else ""),
            ]
        )
    return _section(
        "No worse than no offers?",
        "A market passes if the lower end of the interval over seeds is above −0.2 % of the margin "
        "without offers.",
        _table(["policy", "pass", "fail", "worst of them (lower end)"], rows),
    )


def _worlds(summary: Summary) -> str:
    tables = []
    # References are run in one programme and few seeds: beside the others their means say nothing.
    deployable = [row for row in summary["rows"] if row["regime"] != "reference"]
    for world in dict.fromkeys(row["world"] for row in deployable):
        by: dict[str, dict[str, list[float]]] = {}
        for row in deployable:
            if row["world"] == world:
                mine = by.setdefault(name_of(row), {})
                mine.setdefault(row["response"], []).append(row["incremental_share"])
        responses = list(dict.fromkeys(name for mine in by.values() for name in mine))
        rows = [
            [name, *(share(_mean(mine.get(one, ()))) for one in responses)]
            for name, mine in by.items()
        ]
        tables += [f"### {world}", _table(["policy", *responses], rows)]
    return _section(
        "By world",
        "Means over programmes and seeds. Every market with its interval is in the JSON.",
        *tables,
    )


def _small(summary: Summary) -> str:
    between = summary["small_problem_intervals"]
    rows = []
    for name, value in summary["small_problem"].items():
        one = between.get(name, {})
        ends = interval(percent(one.get("low"), 1), percent(one.get("high"), 1))
        rows.append([name, percent(value, 1), ends])
    return _section(
        "A small problem with a known optimum",
        "Two hidden kinds of customers, one of which responds; the belief-optimal policy is exact "
        "(`experiments/benchmark/small_problem.py`). Gain as a share of the optimum's, on the same "
        "customers and luck. `myopic` offers whenever it pays by itself.",
        _table(["policy", "share of the optimal gain", "interval over seeds"], rows),
    )


def _clairvoyant(summary: Summary) -> str:
    rows = [
        [
            f"{row['world']} {row['response']} {row['programme']}",
            share(row["clairvoyant"]),
            *(percent(row[part], 1) for part in ("share", "information", "learning")),
        ]
        for row in summary["clairvoyant"]
    ]
    return _section(
        "Against the clairvoyant",
        f"The clairvoyant sees latent states, and no firm can. Its gain is split into what the "
        f"{SUBJECT} reaches, what a {SUBJECT} reaches beyond that if it sees latent states too "
        "(what not knowing costs), and what is left (what learning costs). One programme and few "
        "seeds, so no intervals; markets in which the clairvoyant gains nothing are left out, and "
        "where it gains little shares of its gain say little.",
        _table(["market", "clairvoyant", SUBJECT, "not knowing", "learning"], rows),
    )


def _wrong(summary: Summary) -> str:
    rows = [
        [
            f"{row['world']} {row['response']}",
            row["told"],
            share(row["share"]),
            share(row["loss"]),
            interval(share(row["ci_low"]), share(row["ci_high"])),
        ]
        for row in summary["misspecification"]
    ]
    return _section(
        "Told wrong",
        f"The informed {SUBJECT}, trained for another response world or another model of behaviour "
        "(`behaviour`: rates that do not drift), against itself told the truth, in one programme. "
        "Loss: value told the truth less value told wrong.",
        _table(["market", "told", "value", "loss", "interval"], rows),
    )


def _claims(summary: Summary) -> str:
    parts = []
    told = ", ".join(dict.fromkeys(f"`{row['policy']}`" for row in summary["trade_press_claims"]))
    for claim in dict.fromkeys(row["claim"] for row in summary["trade_press_claims"]):
        mine = [row for row in summary["trade_press_claims"] if row["claim"] == claim]
        rows = [
            [
                f"{row['world']} {row['response']}",
                percent(row["value"], 1, sign=True),
                interval(
                    percent(row["ci_low"], 1, sign=True), percent(row["ci_high"], 1, sign=True)
                ),
                row["holds"],
            ]
            for row in mine
        ]
        held = [f"{row['world']} {row['response']}" for row in mine if row["holds"] == "yes"]
        counts = ", ".join(
            f"{word} in {count}"
            for key, word in _HOLDS.items()
            if (count := sum(row["holds"] == key for row in mine))
        )
        heading = f"### {claim}: {counts}, of {len(mine)} markets"
        if held:
            heading += f"\n\nShown in: {', '.join(held)}."
        parts += [heading, _table(["market", "difference", "interval", "holds"], rows)]
    return _section(
        "Claims of the trade press",
        f"The {SUBJECT} ({told}) against the static tiered programme: the same tiers, the same "
        "offer budget, offers to everybody alike. ROI is gain above no offers per unit of offer "
        "cost (a difference of 100 % is one unit more per unit spent; it may come from hardly "
        "spending), retention the share of customers alive at the end, redemption the share of "
        "sent offers that are used. Undefined: one of the two spends or sends nothing in some "
        "seed.",
        *parts,
    )


def _section(title: str, *content: str) -> str:
    if not any(part.startswith("|") for part in content):
        return ""
    return f"\n## {title}\n\n" + "\n\n".join(part for part in content if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    found = list(rows)
    return "\n".join(table(head, found)) if found else ""


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None
