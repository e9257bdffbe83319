"""Response worlds: the size of every mechanism by which customers answer to others.

Meaning, unit, source and plausible range of each parameter are in conf/behaviour/table.yaml; what
the parameters do is in agents/behaviour.py.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from agents.mechanisms import PLUGGED
from agents.ranges import check_range
from agents.records import KINDS


@dataclass(frozen=True)
class KindEffects:
    """One number per reward kind."""

    discount: float = 0.0
    points: float = 0.0
    free_item: float = 0.0
    recognition: float = 0.0

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in the order of ``KINDS``."""
        return tuple(float(getattr(self, kind)) for kind in KINDS)


def _switched(mechanism: str, low: float, high: float, default: Any = 0.0, off: Any = None) -> Any:
    """Parameter of a mechanism: its range, its default, and its value when switched off."""
    off = default if off is None else off
    about = {"mechanism": mechanism, "low": float(low), "high": float(high), "off": off}
    return field(default=default, metadata=about)


def _scale(mechanism: str, low: float, high: float, default: float) -> Any:
    """Parameter that does nothing by itself, so that switching off leaves it alone."""
    about = {"mechanism": mechanism, "low": float(low), "high": float(high)}
    return field(default=default, metadata=about)


_NONE = KindEffects()
_NEVER = KindEffects(-50.0, -50.0, -50.0, -50.0)


@dataclass(frozen=True)
class ResponseParameters:
    """A response world: how customers answer to firm, rivals and neighbours. Default: not at all.

    Effects are changes of the log purchase rate or of the log hazard unless stated otherwise;
    conf/behaviour/table.yaml gives meaning, unit, source and range of each. ``off`` names
    mechanisms (``MECHANISMS``) that are switched off whatever their parameters say;
    ``plugged`` holds the parameters of plugged-in mechanisms by name.
    """

    name: str = "null"
    off: tuple[str, ...] = ()
    inattention: float = _switched("attention", 0, 1, 1.0, off=0.0)
    offer_log_rate: KindEffects = _switched("offers", -2, 2, _NONE)
    offer_log_rate_sd: float = _switched("offers", 0, 2)
    basket_uplift: KindEffects = _switched("basket_uplift", -2, 2, _NONE)
    category_match: float = _switched("category", 0, 1)
    redemption_logit: KindEffects = _switched(
        "redemption", -50, 50, KindEffects(-1.0, -1.0, -1.0, -1.0), off=_NEVER
    )
    redemption_sd: float = _scale("redemption", 0, 10, 2.08)
    redemption_rate_slope: float = _scale("redemption", -10, 10, 0.68)
    points_use_probability: float = _switched("redemption", 0, 1, 0.3, off=0.0)
    member_log_rate: float = _switched("membership", -2, 2)
    enrol_probability: float = _switched("enrolment", 0, 1)
    enrol_rate_slope: float = _scale("enrolment", -5, 5, 0.5)
    tier_log_rate: float = _switched("tier", -2, 2)
    tier_log_hazard: float = _switched("tier", -2, 2)
    tier_change_log_rate: float = _switched("tier_change", -2, 2)
    downgrade_log_hazard: float = _switched("tier_change", -2, 2)
    tier_change_weeks: float = _scale("tier_change", 0.1, 520, 13.0)
    goal_gradient: float = _switched("goal_gradient", -2, 2)
    goal_gradient_shape: int = _scale("goal_gradient", 1, 8, 1)
    momentum_log_rate: float = _switched("momentum", -2, 2)
    momentum_weeks: float = _scale("momentum", 0.1, 520, 2.0)
    saturation: float = _switched("saturation", 0, 5)
    pull_forward: float = _switched("pull_forward", 0, 2)
    pull_forward_weeks: float = _scale("pull_forward", 0.1, 520, 2.0)
    fatigue_log_rate: float = _switched("fatigue", -2, 2)
    fatigue_log_hazard: float = _switched("fatigue", -2, 2)
    fatigue_weeks: float = _scale("fatigue", 0.1, 520, 4.0)
    deal_waiting: float = _switched("deal_waiting", 0, 5)
    deal_prior: float = _scale("deal_waiting", 0, 1, 0.1)
    deal_prior_weeks: float = _scale("deal_waiting", 0.1, 520, 8.0)
    deal_memory_weeks: float = _scale("deal_waiting", 0.1, 520, 26.0)
    reward_log_hazard: float = _switched("reward_retention", -2, 2)
    reward_weeks: float = _scale("reward_retention", 0.1, 520, 13.0)
    contact_log_hazard: float = _switched("proactive_contact", -2, 2)
    contact_weeks: int = _scale("proactive_contact", 1, 254, 13)
    opt_out_per_contact: float = _switched("opt_out", 0, 1, 0.002, off=0.0)
    satisfaction_log_hazard: float = _switched("satisfaction", -2, 2)
    satisfaction_weeks: float = _scale("satisfaction", 0.1, 520, 13.0)
    satisfaction_reward: float = _switched("satisfaction", -5, 5)
    satisfaction_recognition: float = _switched("satisfaction", -5, 5)
    satisfaction_contact: float = _switched("satisfaction", -5, 5)
    satisfaction_downgrade: float = _switched("satisfaction", -5, 5)
    competitor_log_rate: float = _switched("competitor", -2, 2)
    competitor_log_hazard: float = _switched("competitor", -2, 2)
    competitor_reaction: float = _switched("competitor", 0, 10, 1.0, off=0.0)
    neighbour_log_rate: float = _switched("neighbours", -2, 2)
    buzz_weeks: float = _scale("neighbours", 0.1, 520, 4.0)
    contagion_log_hazard: float = _switched("contagion", -2, 2)
    contagion_weeks: float = _scale("contagion", 0.1, 520, 4.0)
    referral_hazard: float = _switched("referral", 0, 1)
    plugged: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, about in RESPONSE_FIELDS.items():
            value = getattr(self, name)
            if isinstance(value, KindEffects):
                for kind, number in zip(KINDS, value.values, strict=True):
                    check_range(f"{name}.{kind}", number, about["low"], about["high"])
            else:
                check_range(name, value, about["low"], about["high"])
        for name in self.off:
            if name not in MECHANISMS:
                raise ValueError(f"off={name!r} is no mechanism: choose among {MECHANISMS}")
        known = tuple(name for one in PLUGGED for name in one.parameters)
        for name in self.plugged:
            if name not in known:
                raise ValueError(f"plugged.{name}: no mechanism has it; known are {known}")

    def without(self, *mechanisms: str) -> "ResponseParameters":
        """The same world with some mechanisms, and those of ``off``, switched off."""
        names = {*self.off, *mechanisms}
        changes = {
            name: about["off"]
            for name, about in RESPONSE_FIELDS.items()
            if about["mechanism"] in names and "off" in about
        }
        kept = {
            name: value
            for one in PLUGGED
            for name, value in self.plugged.items()
            if name in one.parameters and one.name not in names
        }
        return replace(self, **changes, plugged=kept, off=())


RESPONSE_FIELDS = {f.name: f.metadata for f in fields(ResponseParameters) if f.metadata}
MECHANISMS = (
    *dict.fromkeys(about["mechanism"] for about in RESPONSE_FIELDS.values()),
    *(one.name for one in PLUGGED),
)
