"""A problem small enough to know its optimum: two types of members, one of whom responds.

Members never leave and their rates never drift. Every week each may get a thank-you by email,
which costs COST and is surely opened. It raises the purchase rate of the responsive type by the
factor e^EFFECT and does nothing to the other. The firm sees who is who by their rates: the
responsive buy RATE[1] times a week, the others, who are worth more, RATE[0] times. Weeks do not
depend on one another, so the optimum is to thank the responsive alone, each week, and is worth,
per responsive customer and week,

    RATE[1] · (e^EFFECT − 1) · BASKET · MARGIN − COST.
"""

import math
from dataclasses import replace

import numpy as np

from agents.population import GROCERY, MembershipParameters, draw_population
from agents.response import KindEffects, ResponseParameters
from agents.rng import derive_seed
from envs.constraints.parameters import ConstraintParameters
from envs.decision import GovernedPolicy
from envs.features import column
from envs.task import OfferTask, default_world
from sim.counterfactual import paired_run
from sim.engine import Engine
from sim.metrics import incremental_margin
from sim.offers import Offer, OfferBook
from sim.programme import ProgrammeParameters

RATE = (4.0, 0.5)  # purchases a week: indifferent, responsive
EFFECT = 0.8  # log rate of the responsive
BASKET, MARGIN, COST = 20.0, 0.3, 0.6  # currency units, share, currency units
WEEKS = 12
OPTIMUM = WEEKS * 0.5 * (RATE[1] * (math.exp(EFFECT) - 1) * BASKET * MARGIN - COST)


def two_types():
    """The world of the module's docstring."""
    world = default_world()
    return world._replace(
        response=ResponseParameters(
            offer_log_rate=KindEffects(recognition=EFFECT / 2),
            offer_log_rate_sd=EFFECT / 2,
            inattention=0.0,
            opt_out_per_contact=0.0,
        ),
        dynamics=replace(world.dynamics, drift_sd=0.0, drift_weeks=0.0),
        programme=ProgrammeParameters("nothing", active=True, points_per_unit=0.0),
        book=OfferBook(
            "thanks",
            (Offer("thanks", "recognition", weeks=1),),
            channels=("email",),
            contact_cost={"email": COST},
        ),
        contribution_margin=MARGIN,
    )


def customers_of(world, n, role, group_of_type=False):
    """Half of each type, after half a year; the responsive are the odd rows.

    Two groups: the types, or half of each type in either.
    """
    customers = draw_population(
        GROCERY,
        n,
        derive_seed(3, role),
        MembershipParameters(),
        first_id=0 if role == "train" else n,
    )
    responsive = np.arange(n) % 2
    customers.traits["log_rate"] = np.log(RATE)[responsive]
    customers.traits["hazard"] = 1e-9
    customers.state["drift"] = 0.0
    customers.traits["spend_mean"] = 100 * BASKET
    customers.traits["response"] = np.where(responsive, 1.0, -1.0)[:, None]
    customers.account["enrolled"] = 1
    customers.account["consent"] = 1
    customers.account["vulnerable"] = 0
    customers.account["group"] = responsive if group_of_type else (np.arange(n) // 2) % 2
    engine = Engine(customers, world.rules(), derive_seed(4, role))
    for _ in range(26):
        engine.advance()
    return customers


def task_of(world, constraints=None, group_of_type=False):
    """The task on 1,000 customers, without limits by default."""
    pool = customers_of(world, 1000, "train", group_of_type)
    limits = constraints or ConstraintParameters()
    return OfferTask((world,), pool, limits, horizon=WEEKS, paired=True)


class ThankTheResponsive:
    """The optimum, by what the firm sees."""

    name = "optimum"

    def propose(self, observation, mask, context):
        rate = observation[:, column("expected_rate")]
        return np.column_stack([np.zeros(rate.size), np.where(rate < 2.0, 1.0, -1.0)])


def gain(world, policy):
    customers = customers_of(world, 4000, "evaluate")
    governed = GovernedPolicy(policy, ConstraintParameters(), customers.n)
    return incremental_margin(paired_run(world, customers, np.uint64(11), governed, weeks=WEEKS))[
        "all"
    ]
