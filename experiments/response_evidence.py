"""What a log's campaigns say about response: a response world fitted to contacts."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from agents.calibration.contacts import ContactLog, load_contacts, targeting, wholly_observed
from agents.calibration.log import TransactionLog
from agents.calibration.offer_response import (
    CampaignEffects,
    Trends,
    UpdatedEffect,
    campaign_effects,
    updated,
    weekly_panel,
)
from agents.calibration.redemption import (
    RedemptionFit,
    Redemptions,
    fit_redemption,
    predicted_top_shares,
    redemptions,
    share_of_top,
)
from agents.errors import InputError
from agents.records import KINDS
from experiments.config import compose_demo
from experiments.console import Progress
from experiments.logs import load_data
from experiments.own_keys import output_file, own_keys
from experiments.response_tables import show
from experiments.response_world import write_response_world

# Discounts on single products, chosen for the household (A) or alike for all (B, C).
COMPLETE_JOURNEY_KINDS: Mapping[str, tuple[str, ...]] = {
    "discount": ("Type A",),
    "points": ("Type B", "Type C"),
    "free_item": ("Type B", "Type C"),
}


@dataclass(frozen=True)
class ResponseEvidenceKeys:
    """Keys of ``loyaltylab response-evidence`` besides those of data."""

    out: str
    contacts: str = ""
    kinds: str = ""
    inference: str = "map"
    trends: str = "reached"
    prior_sd: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("inference", ("map", "nuts")),
            ("trends", ("none", "reached", "household")),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"{name}={value!r} must be one of {', '.join(allowed)}")
        if not 0 < self.prior_sd <= 1:
            raise InputError(f"prior_sd={self.prior_sd!r} must be above 0 and at most 1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed={self.seed!r} must be 0 to {2**32 - 1:,}")
        path = Path(self.out)
        if path.suffix != ".yaml" or not re.fullmatch(r"[a-z][a-z0-9_]*", path.stem):
            raise InputError(
                f"out={self.out!r} must be named NAME.yaml, NAME of small letters, digits and _"
            )


@dataclass(frozen=True)
class ResponseEvidence:
    """What contacts say about redemption and response.

    Attributes
    ----------
    contacts
        All of the source's contacts.
    data, redemption
        Contacts that the log covers, and the logit fitted to them.
    targeting
        Mean log pre-rate of contacts, minus that of all customers at the same times.
    observed_top, predicted_top
        Share of redeemed contacts, of the tenth of households with the most: observed, and
        mean, 2.5 % and 97.5 % of the posterior predictive distribution.
    coupons_top
        The same of redeemed coupons, of which a contact may bring several.
    effects
        By outcome (trips, spend, basket) and design (evidence, household trends, and the naive
        ones: before and after, contacted and others).
    trips, basket
        Updated mean effects by reward kind of the simulator.
    kinds
        Kinds of campaign by reward kind of the simulator.
    """

    contacts: ContactLog
    data: Redemptions
    redemption: RedemptionFit
    targeting: float
    observed_top: float
    predicted_top: tuple[float, float, float]
    coupons_top: float
    effects: Mapping[str, Mapping[str, CampaignEffects]]
    trips: Mapping[str, UpdatedEffect]
    basket: Mapping[str, UpdatedEffect]
    kinds: Mapping[str, tuple[str, ...]]

    def redemption_logit(self, kind: str) -> tuple[float, float]:
        """Intercept and its posterior sd at the average customer's rate, of a reward kind.

        Kinds of campaign are averaged by their contacts.
        """
        names, draws = self.redemption.names, self.redemption.draws
        size = np.bincount(self.data.kind, minlength=len(self.data.kinds))
        at = [self.data.kinds.index(name) for name in self.kinds[kind]]
        weight = np.zeros(len(names))
        weight[at] = size[at] / size[at].sum()
        weight[names.index("slope")] = -self.targeting
        return float(weight @ self.redemption.estimate), float((draws @ weight).std())

    def as_json(self) -> dict[str, Any]:
        """Parameters only."""
        return {
            "contacts": len(self.contacts),
            "customers": self.contacts.n_customers,
            "share_redeemed": dict(zip(self.contacts.kinds, self.contacts.shares(), strict=True)),
            "redemption": {
                name: {"estimate": float(value), "sd": float(sd)}
                for name, value, sd in zip(
                    self.redemption.names,
                    self.redemption.estimate,
                    self.redemption.sd,
                    strict=True,
                )
            },
            "targeting": self.targeting,
            "top_tenth_of_households": {
                "contacts": self.observed_top,
                "contacts_predicted": list(self.predicted_top),
                "coupons": self.coupons_top,
            },
            "effects": {
                outcome: {
                    design: {
                        kind: {"effect": float(effect), "standard_error": float(error)}
                        for kind, effect, error in zip(
                            one.kinds, one.effect, one.standard_error, strict=True
                        )
                    }
                    for design, one in designs.items()
                }
                for outcome, designs in self.effects.items()
            },
            "updated": {
                outcome: {kind: vars(one) | {"moved": one.moved} for kind, one in table.items()}
                for outcome, table in (("trips", self.trips), ("basket", self.basket))
            },
            "kinds": {kind: list(names) for kind, names in self.kinds.items()},
        }


def run_response_evidence(overrides: Sequence[str], as_json: bool = False) -> ResponseEvidence:
    """``loyaltylab response-evidence``: fit, write the response world, print the tables."""
    keys, rest = own_keys(ResponseEvidenceKeys, overrides, ("data",))
    path = output_file(keys.out)
    config = compose_demo(rest).data
    source = keys.contacts or ("completejourney" if config.source == "completejourney" else "")
    if not source:
        raise InputError("contacts is missing: give contacts=FILE, the campaigns' contacts")
    with Progress() as progress:
        log = load_data(config, progress.note)
        contacts = load_contacts(source, log, progress.note)
        kinds = _kinds(keys.kinds, source, contacts)
        evidence = response_evidence(log, contacts, kinds, keys)
    write_response_world(path, evidence, log.name, log.notice)
    if as_json:
        print(json.dumps(evidence.as_json(), ensure_ascii=False))
    else:
        show(evidence)
        name, folder = path.stem, path.absolute().parent
        where = folder.parent if folder.name == "response" else "DIR"
        hint = "" if folder.name == "response" else " once it lies in DIR/response/"
        print(f"{path}: use it by loyaltylab --config-dir {where} simulate response={name}{hint}")
    return evidence


def response_evidence(
    log: TransactionLog,
    contacts: ContactLog,
    kinds: Mapping[str, tuple[str, ...]],
    keys: ResponseEvidenceKeys,
) -> ResponseEvidence:
    """Fit redemption and response to the contacts of a log.

    Raises
    ------
    InputError
        If the contacts do not tell: one line that says why.
    """
    inside = wholly_observed(contacts, log)
    data = redemptions(log, inside)
    inference = cast(Literal["map", "nuts"], keys.inference)
    fit = fit_redemption(data, inference=inference, seed=keys.seed)
    predicted = predicted_top_shares(fit, data, seed=keys.seed)
    low, high = np.quantile(predicted, [0.025, 0.975])
    panel = weekly_panel(log, contacts, keys.seed)
    trends = cast(Trends, keys.trends)
    effects = {
        outcome: {
            "evidence": campaign_effects(panel, outcome, trends=trends),
            "household trends": campaign_effects(panel, outcome, trends="household"),
            "before and after": campaign_effects(panel, outcome, trends="none"),
            "contacted and others": campaign_effects(
                panel, outcome, household_effects=False, trends="none"
            ),
        }
        for outcome in ("trips", "spend", "basket")
    }
    coupons = np.bincount(contacts.customer, contacts.coupons)[np.unique(contacts.customer)]
    return ResponseEvidence(
        contacts=contacts,
        data=data,
        redemption=fit,
        targeting=targeting(log, inside),
        observed_top=share_of_top(np.bincount(data.household, data.redeemed)),
        predicted_top=(float(predicted.mean()), float(low), float(high)),
        coupons_top=share_of_top(coupons),
        effects=effects,
        trips={
            kind: updated(effects["trips"]["evidence"], names, keys.prior_sd)
            for kind, names in kinds.items()
        },
        basket={
            kind: updated(effects["basket"]["evidence"], names, keys.prior_sd)
            for kind, names in kinds.items()
        },
        kinds=kinds,
    )


def _kinds(text: str, source: str, contacts: ContactLog) -> Mapping[str, tuple[str, ...]]:
    """Kinds of campaign by reward kind of the simulator, as given or by their names."""
    if text:
        pairs = [part.partition(":") for part in text.split(",")]
        chosen = {
            kind.strip(): tuple(name.strip() for name in names.split("+"))
            for kind, _, names in pairs
        }
    elif source == "completejourney":
        chosen = dict(COMPLETE_JOURNEY_KINDS)
    else:
        chosen = {kind: (kind,) for kind in KINDS if kind in contacts.kinds}
    for kind, names in chosen.items():
        if kind not in KINDS:
            raise InputError(f"kinds: {kind!r} is no reward kind; allowed: {', '.join(KINDS)}")
        for name in names:
            if name not in contacts.kinds:
                raise InputError(
                    f"kinds: {name!r} is no kind of campaign in {contacts.name}; "
                    f"allowed: {', '.join(contacts.kinds)}"
                )
    if not chosen:
        raise InputError(
            f"{contacts.name}: kinds of campaign are {', '.join(contacts.kinds)}: say which reward "
            f"kind each stands for, e.g. kinds='discount:{contacts.kinds[0]}'; "
            f"reward kinds: {', '.join(KINDS)}"
        )
    return chosen
