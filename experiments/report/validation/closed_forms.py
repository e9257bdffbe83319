"""Section on closed forms."""

from experiments.report.markdown import Facts, table
from experiments.report.wording import decimal


def closed_forms_section(facts: Facts) -> list[str]:
    """Lines of the section."""
    rows = []
    for row in facts["weeks"]:
        cells = [str(row["week"])]
        for value in (row["count"], row["alive"]):
            error = (value["simulated"] - value["exact"]) / value["standard_error"]
            cells += [
                decimal(value["exact"], 4),
                decimal(value["simulated"], 4),
                decimal(error, 1, sign=True),
            ]
        rows.append(cells)
    bands = [
        [
            f"{decimal(row['low'], 1)} to {decimal(row['high'], 1)}",
            decimal(row["customers"]),
            decimal(row["predicted"], 4),
            decimal(row["true"], 4),
            decimal((row["true"] - row["predicted"]) / row["standard_error"], 1, sign=True),
        ]
        for row in facts["p_alive"]
    ]
    return [
        "## Closed forms, marketing off",
        "",
        f"{decimal(facts['customers'])} customers with the published CDNOW parameters, against "
        "Schmittlein, Morrison & Colombo (1987). Errors in standard errors of the simulation: "
        "beyond ±3 would be a fault.",
        "",
        *table(
            (
                "week",
                "purchases, exact",
                "simulated",
                "error",
                "still there, exact",
                "simulated",
                "error",
            ),
            rows,
        ),
        "",
        f"P(alive), which the firm computes from purchases alone, at week {facts['p_alive_week']}: "
        "of the customers to whom it gives about so much, the share that is truly still there.",
        "",
        *table(
            ("P(alive)", "customers", "mean P(alive)", "truly there", "error in standard errors"),
            bands,
        ),
        "",
    ]
