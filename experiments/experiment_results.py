"""What a continuous experiment in a market brought: traffic, lift and estimates by arm."""

from typing import Any

import numpy as np

from envs.decision import GovernedPolicy
from policies.bandits.experiment import ContinuousExperiment
from policies.bandits.off_policy import doubly_robust, target_of


def experiment_facts(
    own: GovernedPolicy | None, rival: GovernedPolicy | None, confidence: float
) -> dict[str, Any] | None:
    """Facts as summary.json holds them; None where neither side's policy is an experiment.

    Returns
    -------
    dict
        ``side``: ``run`` or, where the run itself has none, ``against``. ``window``: weeks of
        profit that count for a decision. ``arms``: of each its share of the traffic in the end,
        its ``gain`` over no offers by which traffic moves, with interval, and ``off_policy``, the
        doubly robust estimate of the same from the kept decisions; money in currency units per
        decision and window. ``weeks`` and ``traffic``: share of each arm by
        week. ``lift``: profit per customer-week of all others above the control group's; None
        where a side has fewer than two customers. ``decisions``: how many were kept, outside the
        control group; ``overridden``: share of those that a hard limit refused.
    """
    side, policy = "run", own and own.policy
    if not isinstance(policy, ContinuousExperiment):
        side, policy = "against", rival and rival.policy
    if not isinstance(policy, ContinuousExperiment):
        return None
    try:
        lift = policy.lift(confidence)._asdict()
    except ValueError:
        lift = None
    facts: dict[str, Any] = {
        "side": side,
        "window": policy.parameters.window,
        "explore_share": policy.parameters.explore_share,
        "control_share": policy.parameters.control_share,
        "weeks": policy.weeks,
        "traffic": {
            arm: [float(shares[at]) for shares in policy.shares_by_week]
            for at, arm in enumerate(policy.arms)
        },
        "lift": lift,
        "arms": [
            {**standing._asdict(), "off_policy": None} for standing in policy.standings(confidence)
        ],
        "decisions": 0,
        "overridden": None,
    }
    log = policy.kept()
    if log is None:
        return facts
    mine = ~log.control
    rows = log.randomised()
    facts |= {"decisions": int(mine.sum()), "overridden": rows.overridden}
    if np.unique(rows.customer_id).size < 2:
        return facts
    n_actions = rows.propensity.shape[1]
    actions = policy.arm_actions()[mine]
    none = target_of(actions[:, 0], n_actions)
    for at, arm in enumerate(facts["arms"][1:], start=1):
        target = target_of(actions[:, at], n_actions)
        seen = rows.propensity[np.arange(mine.sum()), actions[:, at]] > 0
        if seen.all():  # a room of nothing leaves some arms without a chance
            arm["off_policy"] = doubly_robust(rows, target, confidence, against=none)._asdict()
    return facts
