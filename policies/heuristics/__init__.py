"""Rules of thumb that a learned policy must beat; each says why it chose a customer."""

from envs.decision import NoOffers
from policies.heuristics.baselines import Blanket, Random
from policies.heuristics.rulebook import RuleBook, Treatment
from policies.heuristics.rules import RfmRules, Triggers
from policies.heuristics.value_rules import ChurnClv, ClvGreedy

__all__ = [
    "Blanket",
    "ChurnClv",
    "ClvGreedy",
    "NoOffers",
    "Random",
    "RfmRules",
    "RuleBook",
    "Treatment",
    "Triggers",
]
