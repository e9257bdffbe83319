"""The limits in a report: who approved them, what each was used for, what the budget holds back."""

from collections.abc import Mapping
from typing import Any

from experiments.report.elements import Column, Group, Markup, paragraph, section, table, tag
from experiments.report.wording import (
    currency_of,
    decimal,
    money,
    number_or_none,
    percent,
    plain,
    response_name,
    rows,
)

_SERVED = "maskable_ppo"


def approval_sentence(approval: Mapping[str, Any]) -> str:
    """Who approved the limits; empty where a summary does not say."""
    if not approval:
        return ""
    name = f"Limits “{plain(approval.get('limits'))}”"
    if approval.get("status") != "approved":
        return f"{name} are an experiment: nobody approved them."
    by, date = plain(approval.get("approved_by")), plain(approval.get("date"))
    return f"{name} were approved by {by} on {date}."


def limits(summary: Mapping[str, Any]) -> Markup:
    """The ledger of the served policy in each response world, and both modes of the budget."""
    groups = [
        Group(
            response_name(row.get("response")),
            [_ledger_row(entry) for entry in rows(row, "constraint_ledger")],
        )
        for row in rows(summary, "policies")
        if row.get("policy") == _SERVED
    ]
    ledger = table(
        "Ledger of the trained policy",
        [
            Column("Constraint", "text"),
            Column("Kind", "text"),
            Column("Limit", "text"),
            Column("Use", note="mean"),
            Column("Use", note="peak"),
            Column("Slack", note="least"),
            Column("Broken"),
            Column("Missed", note="expected ones"),
            Column("Looked at"),
            Column("Bound", note="decisions"),
        ],
        *groups,
    )
    modes, features = _modes(summary), _features(summary)
    if not ledger and not modes and not features:
        return Markup("")
    return section(
        "limits",
        "What the limits did",
        paragraph(
            "An audit with its own books checked every decision after it was made. Masks and hard "
            "budgets must never be broken; expected constraints may be missed, and how often they "
            "were is told."
        ),
        ledger,
        modes,
        features,
    )


def _ledger_row(entry: Mapping[str, Any]) -> list[object]:
    broken = number_or_none(entry.get("violations")) or 0
    return [
        plain(str(entry.get("constraint")).replace("_", " ").replace("/", ", ")),
        plain(entry.get("kind")),
        plain(entry.get("limit")),
        percent(entry.get("use_mean"), 1),
        percent(entry.get("use_peak"), 1),
        percent(entry.get("slack"), 1),
        tag("span", decimal(broken), class_="bad") if broken else "none",
        decimal(entry.get("breaches")),
        f"{decimal(entry.get('checked'))} {plain(entry.get('unit'))}",
        decimal(entry.get("bound")),
    ]


def _features(summary: Mapping[str, Any]) -> Markup:
    return table(
        "What policies may know of a customer, and what for",
        [Column("Feature", "text"), Column("Unit", "text"), Column("Purpose", "text"),
         Column("Used", "text")],
        Group(
            "",
            [
                [
                    plain(row.get("name")),
                    plain(row.get("unit")),
                    plain(row.get("purpose")),
                    "yes" if row.get("allowed") else "withheld",
                ]
                for row in rows(summary, "features")
            ],
        ),
    )  # fmt: skip


def _modes(summary: Mapping[str, Any]) -> Markup:
    currency = currency_of(summary)
    return table(
        "Two modes of the offer budget, the same policy, customers and luck",
        [
            Column("Mode", "text"),
            Column("Limit", note="a week"),
            Column("Reserved", note="mean"),
            Column("Reserved", note="peak"),
            Column("Could cost", note="peak"),
            Column("Settled", note="mean"),
            Column("Settled", note="peak"),
            Column("Weeks above"),
            Column("Allowed", note="share of weeks"),
            Column("Offers"),
        ],
        Group(
            "",
            [
                [
                    {"worst_case": "worst case", "tail": "tail"}.get(str(row.get("mode")), "–"),
                    *(
                        money(row.get(name), currency)
                        for name in (
                            "limit", "reserved_mean", "reserved_peak", "committed_peak",
                            "settled_mean", "settled_peak",
                        )
                    ),
                    f"{decimal(row.get('weeks_above_limit'))} of {decimal(row.get('weeks'))}",
                    "none" if row.get("delta") is None else percent(row.get("delta")),
                    decimal(row.get("offers")),
                ]
                for row in rows(summary, "budget_modes")
            ],
        ),
    )  # fmt: skip
