"""What `loyaltylab response-evidence` prints."""

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from experiments.response_evidence import ResponseEvidence


def show(evidence: "ResponseEvidence") -> None:
    """Print what was found."""
    console = Console()
    fit = evidence.redemption
    table = Table(title="Redemption: logit per contact, random intercept per household")
    for column in ("parameter", "estimate", "sd"):
        table.add_column(column, justify="left" if column == "parameter" else "right")
    for name, value, sd in zip(fit.names, fit.estimate, fit.sd, strict=True):
        table.add_row(name.replace("[", r"\["), f"{value:+.2f}", f"{sd:.2f}")
    console.print(table)
    for failure in fit.diagnostics.failures():
        print(f"Warning: {failure}; inference=nuts does without that approximation")
    mean, low, high = evidence.predicted_top
    shares = zip(evidence.contacts.kinds, evidence.contacts.shares(), strict=True)
    print("Redeemed: " + ", ".join(f"{kind} {share:.1%}" for kind, share in shares))
    print(
        f"The top tenth of households: {evidence.observed_top:.0%} of redeemed contacts "
        f"(the model: {mean:.0%}, {low:.0%} to {high:.0%}), {evidence.coupons_top:.0%} of coupons"
    )
    table = Table(title="Effect of a campaign while it runs, log (standard error)")
    for column in ("outcome", "kind", *evidence.effects["trips"]):
        table.add_column(column, justify="left" if column in ("outcome", "kind") else "right")
    for outcome, designs in evidence.effects.items():
        for at, kind in enumerate(designs["evidence"].kinds):
            cells = (
                f"{one.effect[at]:+.3f} ({one.standard_error[at]:.3f})" for one in designs.values()
            )
            table.add_row(outcome, kind, *cells)
    console.print(table)
    print(
        "Warning: the last two columns are naive. Campaigns go to heavy buyers, so contacted and "
        "others differ without any effect; and to customers at a peak, who fall back. Nobody was "
        "drawn by lot: where the first two columns differ by more than their errors, so may the "
        "truth."
    )
    table = Table(title="Prior N(0, sd) on the mean effect, updated by the evidence")
    columns = ("reward kind", "from", "of", "evidence", "prior", "posterior", "moved (prior sds)")
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:3] else "right")
    for outcome, results in (("trips", evidence.trips), ("basket", evidence.basket)):
        for kind, one in results.items():
            table.add_row(
                kind, " + ".join(evidence.kinds[kind]), outcome,
                f"{one.evidence:+.3f} ({one.evidence_sd:.3f})", f"0 ({one.prior_sd:g})",
                f"{one.mean:+.3f} ({one.sd:.3f})", f"{one.moved:+.2f}",
            )  # fmt: skip
    console.print(table)
    unsure = [kind for kind, one in evidence.trips.items() if math.fabs(one.mean) < 2 * one.sd]
    if unsure:
        print(f"Trips: 0 is within two sds of the posterior for {', '.join(unsure)}.")
