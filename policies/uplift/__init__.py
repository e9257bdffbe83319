"""Uplift modelling on a randomised trial, the marketing industry's own way to target offers."""

from policies.uplift.learning import UpliftParameters, learn_uplift
from policies.uplift.policy import UpliftPolicy

__all__ = ["UpliftParameters", "UpliftPolicy", "learn_uplift"]
