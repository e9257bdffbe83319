"""docs/benchmark.md: what the benchmark found, made from its JSON."""

from experiments.benchmark.close_look import against_clairvoyant, claims, small_problem, told_wrong
from experiments.benchmark.standings import ahead, by_world, ladder, never_told, non_inferior
from experiments.benchmark.targets import Summary, name_of, targets, unfinished
from experiments.report.markdown import section, table_text


def page(summary: Summary, figure: str = "") -> str:
    """The whole page.

    Parameters
    ----------
    summary
        What ``experiments.benchmark.findings`` gives, with ``quick``.
    figure
        Where ``ladder_figure`` was written, seen from the page; empty shows none.
    """
    parts = (
        _head(summary),
        _asked(summary),
        ladder(summary, figure),
        ahead(summary),
        non_inferior(summary),
        by_world(summary),
        never_told(summary),
        small_problem(summary),
        against_clairvoyant(summary),
        told_wrong(summary),
        claims(summary),
    )
    return "".join(part for part in parts if part)


def _head(summary: Summary) -> str:
    return f"""# Benchmark of policies

Made by `loyaltylab bench policies --write`; the protocol is frozen in
[benchmark-protocol.md](benchmark-protocol.md) (version {summary["protocol_version"]}, digest
`{summary["protocol_digest"]}`); cells and trainings were run by the code with the mark
`{summary["code"]}`{_machine(summary)}.
Values are incremental margin as a share of the margin without offers, paired on the same customers
and luck. Intervals are nominal 95 %; those of interquartile and plain means cover about nine of ten
in simulations. *Informed* policies were trained in the response world that they meet, which no firm
knows without experiments; *robust* ones over all of them and never told which.
{_quick(summary)}{_unfinished(summary)}"""


def _machine(summary: Summary) -> str:
    machine = summary.get("machine")
    return f", on {machine}, {summary['cores']} cores" if machine else ""


def _quick(summary: Summary) -> str:
    if not summary["quick"]:
        return ""
    return (
        f"\n**A quick look**, not the protocol: {summary['markets']} markets, "
        f"{len(summary['seeds'])} seeds, training of seconds. It shows that everything runs; it "
        "ranks nothing.\n"
    )


def _unfinished(summary: Summary) -> str:
    missing = [row for row in summary["coverage"] if unfinished(row)]
    if not missing:
        return ""
    named = "; ".join(
        name_of(row) + (", told wrong" if row["told_wrong"] else "") + f": {unfinished(row)}"
        for row in missing
    )
    done, runs = (sum(row[key] for row in summary["coverage"]) for key in ("done", "runs"))
    return (
        f"\n**Unfinished:** {done:,} of {runs:,} runs (an entry in a cell) are done. Not all run: "
        f"{named}. The ladder and distances are of entries that have been run everywhere; other "
        "sections of what there is.\n"
    )


def _asked(summary: Summary) -> str:
    return section(
        "Asked and found",
        "`yes` and `no` where the whole interval says so, `open` where it holds both answers or "
        "not all has been run; what is printed as 0.000 % is none. Use of the budget and "
        "violations are counted, not estimated. An interquartile mean of exactly 0 means that a "
        "policy gains in fewer than a quarter of the cells, loses in fewer than a quarter and "
        "changes nothing in the rest; the plain mean beside it may still be shown to be above 0.",
        table_text(["asked", "found", "met"], targets(summary)),
    )
