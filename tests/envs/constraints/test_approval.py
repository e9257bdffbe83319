"""Approved limits are found by their values, and what differs is named."""

import dataclasses

from envs.constraints.approval import approve, differences, digest_of, limits_of
from envs.constraints.parameters import ConstraintParameters, ContactCap, OfferBudget

LIMITS = ConstraintParameters(OfferBudget(25.0), ContactCap(2, 4), name="ours")


def test_the_digest_is_of_the_values_alone():
    digest = digest_of(limits_of(LIMITS))
    assert len(digest) == 64
    renamed = dataclasses.replace(LIMITS, name="other", approval="experiment")
    assert digest_of(limits_of(renamed)) == digest
    whole = dataclasses.replace(LIMITS, offer_budget=OfferBudget(25))
    assert digest_of(limits_of(whole)) == digest
    for changed in (
        dataclasses.replace(LIMITS, offer_budget=OfferBudget(25.5)),
        dataclasses.replace(LIMITS, vulnerable=False),
        dataclasses.replace(LIMITS, features=("age",)),
        dataclasses.replace(LIMITS, contact_cap=None),
    ):
        assert digest_of(limits_of(changed)) != digest


def test_differences_name_field_approved_and_given_value():
    changed = dataclasses.replace(
        LIMITS, offer_budget=OfferBudget(30.0), contact_cap=None, vulnerable=False
    )
    assert differences(limits_of(LIMITS), limits_of(changed)) == [
        ("contact_cap.contacts", 2, None),
        ("contact_cap.weeks", 4, None),
        ("offer_budget.weekly_per_customer", 25, 30),
        ("vulnerable", True, False),
    ]


def test_an_approval_carries_who_when_and_what():
    found = approve(LIMITS, "A. Person", "2026-05-01", "Board")
    assert (found.name, found.approved_by, found.date) == ("ours", "A. Person", "2026-05-01")
    assert found.digest == digest_of(found.limits) == digest_of(limits_of(LIMITS))
