"""A response world as a file: measured parameters with their errors, the rest as it was."""

from pathlib import Path
from typing import TYPE_CHECKING

from agents.files import write_atomic

if TYPE_CHECKING:
    from experiments.response_evidence import ResponseEvidence


def write_response_world(path: Path, evidence: "ResponseEvidence", log: str, notice: str) -> None:
    """Write a response world, NAME.yaml, whole or not at all; parameters only.

    What was not measured keeps the behaviour table's default.
    """
    fit, kinds = evidence.redemption, evidence.kinds
    sd = dict(zip(fit.names, fit.sd, strict=True))
    logit = {kind: evidence.redemption_logit(kind) for kind in kinds}
    mapping = "; ".join(f"{kind} = {' + '.join(names)}" for kind, names in kinds.items())
    lines = [
        f"# Response world fitted to {len(evidence.contacts):,} contacts of "
        f"{evidence.contacts.n_customers:,} customers ({log}) by `loyaltylab response-evidence`.",
        "# M: measured, standard error or posterior sd behind it; A: assumption. What is not",
        "# listed keeps its default (`loyaltylab mechanisms`).",
        f"# A: which campaigns stand for which reward kind: {mapping}.",
        "# A: an offer that is live in a week does what a campaign does in a week of its weeks.",
        *([f"# {notice}"] if notice else []),
        "defaults:",
        "  - /behaviour/response@_here_",
        "  - _self_",
        "",
        f"name: {path.stem}",
        "# A: effects below are per contact, opened or not, so every contact counts as opened.",
        "inattention: 0.0",
        "# Prior N(0, sd) updated by household-fixed-effects evidence:",
        *(_line(kind, one.mean, one.sd, one.prior_sd) for kind, one in evidence.trips.items()),
        _mapping("offer_log_rate", {kind: one.mean for kind, one in evidence.trips.items()}),
        "# offer_log_rate_sd keeps its default: effects' spread between customers is not measured.",
        *(_line(kind, one.mean, one.sd, one.prior_sd) for kind, one in evidence.basket.items()),
        _mapping("basket_uplift", {kind: one.mean for kind, one in evidence.basket.items()}),
        f"# M, at the average customer's rate: contacted ones' log rate is {evidence.targeting:.2f}"
        " higher.",
        *(f"#   {kind}: {mean:+.3f} ({error:.3f})" for kind, (mean, error) in logit.items()),
        _mapping("redemption_logit", {kind: mean for kind, (mean, _) in logit.items()}),
        f"redemption_sd: {fit.value('household_sd'):.4g} # M ({sd['household_sd']:.2f})",
        f"redemption_rate_slope: {fit.value('slope'):.4g} # M ({sd['slope']:.2f})",
    ]
    write_atomic(path, "\n".join(lines) + "\n")


def _mapping(name: str, values: dict[str, float]) -> str:
    inside = ", ".join(f"{kind}: {value:.4g}" for kind, value in values.items())
    return f"{name}: {{{inside}}}"


def _line(kind: str, mean: float, sd: float, prior_sd: float) -> str:
    return f"#   {kind}: posterior {mean:+.3f} ({sd:.3f}), prior 0 ({prior_sd:g})"
