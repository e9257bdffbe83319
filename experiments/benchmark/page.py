"""docs/benchmark.md: what the benchmark found, made from its JSON."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Summary = Mapping[str, Any]

_SHOWN_MARKETS = 12


def page(summary: Summary) -> str:
    """The whole page.

    Parameters
    ----------
    summary
        What ``bench policies --json`` prints.
    """
    parts = (
        _head(summary),
        _ladder(summary),
        _non_inferior(summary),
        _worlds(summary),
        _small(summary),
        _clairvoyant(summary),
        _wrong(summary),
        _claims(summary),
        _limits(summary),
    )
    return "\n".join(part for part in parts if part)


def _head(summary: Summary) -> str:
    done, cells = summary["cells_run"], summary["cells"]
    unfinished = (
        ""
        if done == cells
        else f"\n**Unfinished:** {done:,} of {cells:,} cells have been run for every entry. "
        "Aggregates are shown for entries that have been run everywhere.\n"
    )
    quick = "\n**A quick look**, not the protocol: fewer cells.\n" if summary["quick"] else ""
    return f"""# Benchmark of policies

Made by `loyaltylab bench policies --write docs/benchmark.md`; the protocol is frozen in
[benchmark-protocol.md](benchmark-protocol.md) (version {summary["protocol_version"]}, digest
`{summary["protocol_digest"]}`). Values are incremental margin as a share of the margin without
offers, paired on the same customers and luck. Intervals are 95 %.
{quick}{unfinished}"""


def _ladder(summary: Summary) -> str:
    rows = [
        [_entry(row), _share(row["value"]), _interval(row)] for row in summary["interquartile_mean"]
    ]
    ahead = [
        [row["rollout"], _entry(row), _share(row["value"]), _interval(row)]
        for row in summary["rollout_ahead"]
    ]
    regret = [
        [_entry(row), _share(row["mean_regret"]), _share(row["worst_regret"])]
        for row in summary["regret"]
    ]
    return _section(
        "The ladder",
        "Interquartile mean over all markets and seeds, with a bootstrap interval over seeds.",
        _table(["policy", "value", "interval"], rows),
        "How far the rollout is ahead of each other, paired by cell.",
        _table(["rollout", "other", "ahead", "interval"], ahead),
        "Regret: how far the mean of a market is behind that of the best entry there.",
        _table(["policy", "mean regret", "worst market"], regret),
    )


def _non_inferior(summary: Summary) -> str:
    rows = []
    for entry in summary["non_inferiority"]:
        worst = entry["markets"][:_SHOWN_MARKETS]
        named = "; ".join(
            f"{m['world']} {m['response']} {m['programme']} ({_share(m['low'])})" for m in worst
        )
        more = len(entry["markets"]) - len(worst)
        rows.append(
            [
                _entry(entry),
                str(entry["tested"] - len(entry["markets"])),
                str(len(entry["markets"])),
                named + (f"; and {more} more" if more > 0 else ""),
            ]
        )
    use = summary["null_informed_budget_use"]
    null = "not run" if use is None else f"{100 * use:.2f} %"
    return _section(
        "No worse than no offers?",
        "A market passes if the lower end of the interval over seeds is above −0.2 % of the margin "
        f"without offers. In `null` worlds the informed rollout settles {null} of the budget at "
        "most (asked: under 5 %).",
        _table(["policy", "pass", "fail", "fails (lower end)"], rows),
    )


def _worlds(summary: Summary) -> str:
    by: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in summary["rows"]:
        cell = by.setdefault((row["world"], row["response"]), {})
        cell.setdefault(_entry(row), []).append(row["incremental_share"])
    names = list(dict.fromkeys(name for cell in by.values() for name in cell))
    head = ["policy", *(f"{world} {response}" for world, response in by)]
    rows = [[name, *(_share(_mean(cell.get(name))) for cell in by.values())] for name in names]
    return _section(
        "By world",
        "Means over programmes and seeds. Every market with its interval is in the JSON.",
        _table(head, rows),
    )


def _small(summary: Summary) -> str:
    found = summary["small_problem"]
    if not found:
        return ""
    rows = [[name, f"{100 * value:.1f} %"] for name, value in found.items()]
    return _section(
        "A small problem with a known optimum",
        "Two hidden kinds of customers, one of which responds; the belief-optimal policy is exact "
        "(`experiments/benchmark/small_problem.py`). Gain as a share of the optimum's, on the same "
        "customers and luck. `myopic` offers whenever it pays by itself.",
        _table(["policy", "share of the optimal gain"], rows),
    )


def _clairvoyant(summary: Summary) -> str:
    rows = [
        [
            f"{row['world']} {row['response']} {row['programme']}",
            _share(row["clairvoyant"]),
            _percent(row["share"]),
            _percent(row["information"]),
            _percent(row["learning"]),
        ]
        for row in summary["clairvoyant"]
    ]
    return _section(
        "Against the clairvoyant",
        "The clairvoyant sees latent states, and no firm can. Its gain is split into what the "
        "rollout reaches, what a rollout reaches beyond that if it sees latent states too (what "
        "not knowing costs), and what is left (what learning costs).",
        _table(["market", "clairvoyant", "rollout", "not knowing", "learning"], rows),
    )


def _wrong(summary: Summary) -> str:
    rows = [
        [
            f"{row['world']} {row['response']}",
            row["told"],
            _share(row["share"]),
            _share(row["loss"]),
            _interval(row),
        ]
        for row in summary["misspecification"]
    ]
    return _section(
        "Told wrong",
        "The informed rollout, trained for another response world or another model of behaviour "
        "(`behaviour`: rates that do not drift), against itself told the truth.",
        _table(["market", "told", "value", "loss", "interval"], rows),
    )


def _claims(summary: Summary) -> str:
    rows = [
        [
            row["claim"],
            f"{row['world']} {row['response']}",
            _percent(row["value"]),
            f"{_percent(row['ci_low'])} to {_percent(row['ci_high'])}",
            row["holds"],
        ]
        for row in summary["trade_press_claims"]
    ]
    return _section(
        "Claims of the trade press",
        "Against the static tiered programme: the same tiers, the same offer budget, offers to "
        "everybody alike. ROI is gain above no offers per unit of offer cost.",
        _table(["claim", "market", "value", "interval", "holds"], rows),
    )


def _limits(summary: Summary) -> str:
    rows = summary["rows"]
    violations = sum(row["violations"] for row in rows)
    overrides = {
        name: max(row["override_rate"] for row in rows if _entry(row) == name)
        for name in dict.fromkeys(_entry(row) for row in rows)
    }
    return _section(
        "Limits",
        f"Violations of hard constraints in all cells: **{violations}**. Override rate: share of "
        "proposals that masks or budgets changed, the largest of any market.",
        _table(
            ["policy", "override rate"],
            [[name, _percent(value)] for name, value in overrides.items()],
        ),
    )


def _section(title: str, *content: str) -> str:
    tables = [part for part in content if part.startswith("|")]
    if not any(tables):
        return ""
    return f"\n## {title}\n\n" + "\n\n".join(part for part in content if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    if not body:
        return ""
    rule = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join([f"| {' | '.join(head)} |", rule, *body])


def _entry(row: Mapping[str, Any]) -> str:
    minutes = row["train_minutes"]
    trained = f", {minutes:g} min" if minutes else ""
    return row["policy"] + (f" ({row['regime']}{trained})" if row["regime"] != "rule" else "")


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def _share(value: float | None) -> str:
    """A share of the margin in percent, two decimals, with its sign."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:+.2f} %".replace("-", "−")


def _percent(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f} %".replace("-", "−")


def _interval(row: Mapping[str, Any]) -> str:
    return f"{_share(row['ci_low'])} to {_share(row['ci_high'])}"
