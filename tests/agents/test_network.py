"""Who talks to whom, and what goes along a link.

Statistical comparisons allow five standard errors, a false alarm in 2 million each; the key is
fixed.
"""

import math

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from agents.behaviour import behaviour_record
from agents.dynamics import Dynamics
from agents.network import Network, NetworkParameters, talk, word_of_mouth
from agents.population import GROCERY, draw_population
from agents.records import Customers
from agents.response import ResponseParameters
from agents.rng import derive_seed

KEY = derive_seed(3, "world")
N = 5000
SMALL_WORLD = NetworkParameters("small_world")


def people(n: int = N, first_id: int = 0) -> Customers:
    return draw_population(GROCERY, n, derive_seed(7, "population"), first_id=first_id)


def graph(parameters: NetworkParameters = SMALL_WORLD, n: int = N) -> Network:
    found = word_of_mouth(people(n), parameters, KEY)
    assert found is not None
    return found


def links(network: Network) -> NDArray[np.int64]:
    """Both directions of every link, shape (m, 2)."""
    own = np.repeat(np.arange(network.start.size - 1), np.diff(network.start))
    return np.column_stack((own, network.neighbours))


def same(one: Network, other: Network) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


VARIETY = [
    NetworkParameters("small_world", degree, rewiring, homophily)
    for degree, rewiring, homophily in (
        (2, 0.0, 0.0), (6, 0.1, 0.3), (6, 1.0, 0.0), (20, 0.5, 0.8), (60, 0.2, 1.0),
    )
]  # fmt: skip


@pytest.mark.parametrize("parameters", VARIETY)
def test_links_go_both_ways_once_each_and_nobody_talks_to_themselves(parameters) -> None:
    for n in (7, 64, N):
        network = graph(parameters, n)
        pairs = links(network)
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert pairs.min() >= 0
        assert pairs.max() < n
        forward = set(map(tuple, pairs.tolist()))
        assert len(forward) == len(pairs)  # no link twice
        assert forward == {(b, a) for a, b in forward}
        assert network.n_links == len(pairs) // 2
        for row in range(0, n, 97):  # in rising order
            assert (np.diff(network.neighbours[slice(*network.start[row : row + 2])]) > 0).all()


@pytest.mark.parametrize("parameters", VARIETY)
def test_the_mean_number_of_neighbours_is_the_degree_less_what_coincides(parameters) -> None:
    degrees = np.diff(graph(parameters).start)
    # A rewired link hits oneself or somebody already known with probability about degree / n.
    lost = parameters.rewiring * parameters.degree / N
    assert parameters.degree * (1 - 2 * lost) - 0.02 <= degrees.mean() <= parameters.degree
    if parameters.rewiring == 0:
        assert (degrees == parameters.degree).all()
    else:
        # One's own half of the links is kept; the other half becomes Poisson as links are rewired.
        half = parameters.degree / 2
        assert degrees.min() >= half - 2
        spread = half * (1 - (1 - parameters.rewiring) ** 2)
        assert degrees.var() == pytest.approx(spread, rel=0.15)


def test_a_small_cohort_has_no_more_neighbours_than_people() -> None:
    ring = NetworkParameters("small_world", 60, 0.0)
    assert (np.diff(graph(ring, 9).start) == 8).all()
    assert word_of_mouth(people(2), SMALL_WORLD, KEY) is None
    assert word_of_mouth(people(), NetworkParameters(), KEY) is None


@pytest.mark.parametrize("rewiring", [0.0, 0.4])
def test_friends_are_as_alike_as_homophily_says(rewiring: float) -> None:
    """Near on the ring, log rates correlate by homophily squared; rewired links by nothing."""
    n = 20_000
    rate = people(n).state["drift"].astype(float)
    rate = (rate - rate.mean()) / rate.std()
    found = []
    for homophily in (0.0, 0.3, 0.6, 0.9):
        pairs = links(graph(NetworkParameters("small_world", 6, rewiring, homophily), n))
        likeness = (rate[pairs[:, 0]] * rate[pairs[:, 1]]).mean()
        # A customer's links share its own rate: as good as one independent pair per customer.
        assert abs(likeness - (1 - rewiring) * homophily**2) < 5 / math.sqrt(n)
        found.append(likeness)
    assert found == sorted(found)


def test_rewiring_shortens_the_way_between_strangers() -> None:
    """Watts & Strogatz (1998): a few links to anybody make a large world small."""

    def mean_distance(rewiring: float) -> float:
        network = graph(NetworkParameters("small_world", 6, rewiring, 0.0), 2000)
        distance = np.full(2000, -1)
        distance[0] = 0
        reached = [0]
        while reached:
            steps = distance[reached[0]] + 1
            known = np.concatenate(
                [network.neighbours[slice(*network.start[row : row + 2])] for row in reached]
            )
            reached = [int(row) for row in np.unique(known) if distance[row] < 0]
            distance[reached] = steps
        assert (distance >= 0).all()
        return float(distance.mean())

    ring, small, random = (mean_distance(rewiring) for rewiring in (0.0, 0.1, 1.0))
    assert ring == pytest.approx(2000 / 12, rel=0.01)  # a quarter of the way round, six at a time
    assert small < ring / 10
    assert random < small


def test_the_graph_is_a_function_of_key_and_people() -> None:
    again = graph()
    assert same(graph(), again)
    other_key = word_of_mouth(people(), SMALL_WORLD, derive_seed(4, "world"))
    other_people = word_of_mouth(people(first_id=N), SMALL_WORLD, KEY)
    assert other_key is not None
    assert other_people is not None
    assert not same(other_key, again)
    assert not same(other_people, again)


def test_the_order_of_the_rows_changes_no_friendship() -> None:
    """Neighbours on the ring stay so; a rewired link leads to a row, hence there is none here."""
    ring = NetworkParameters("small_world", 6, 0.0, 0.3)
    order = np.random.default_rng(0).permutation(N)
    shuffled = word_of_mouth(people().take(order), ring, KEY)
    assert shuffled is not None
    pairs = {tuple(pair) for pair in order[links(shuffled)].tolist()}
    assert pairs == {tuple(pair) for pair in links(graph(ring)).tolist()}


BEHAVIOUR = behaviour_record(ResponseParameters(buzz_weeks=4.0, contagion_weeks=8.0), Dynamics())


def happening() -> Customers:
    """A week in which some got rewards, some left, and some prospects joined through friends."""
    customers = people()
    random = np.random.default_rng(1)
    customers.outcome["rewards"] = random.random(N) < 0.2
    customers.outcome["redeemed"] = random.integers(0, 3, N)
    customers.outcome["left"] = random.random(N) < 0.05
    customers.outcome["joined"] = np.where(random.random(N) < 0.1, random.integers(1, 3, N), 0)
    customers.state["buzz"] = customers.state["defections"] = 2.0
    newcomer = customers.outcome["joined"] > 0
    customers.account["enrolled"] = (random.random(N) < 0.3) & ~newcomer
    return customers


def test_everybody_hears_what_their_neighbours_got_and_who_left_and_forgets_the_rest() -> None:
    network, customers = graph(), happening()
    talk(network, customers, BEHAVIOUR, 5, KEY)
    own, other = links(network).T
    outcome = customers.outcome
    told = (outcome["rewards"].astype(float) + outcome["redeemed"]) * customers.traits["influence"]
    heard = np.bincount(own, told[other], N)
    gone = np.bincount(own, outcome["left"][other], N)
    np.testing.assert_allclose(customers.state["buzz"], 2 * math.exp(-1 / 4) + heard, rtol=1e-5)
    np.testing.assert_allclose(
        customers.state["defections"], 2 * math.exp(-1 / 8) + gone, rtol=1e-5
    )


def test_a_newcomer_is_credited_to_one_member_among_the_neighbours_or_to_nobody() -> None:
    network, customers = graph(), happening()
    customers.state["referrals"] = 0
    talk(network, customers, BEHAVIOUR, 5, KEY)
    member = customers.account["enrolled"] > 0
    came = customers.outcome["joined"] == 2
    credit = customers.state["referrals"].astype(int)
    assert credit[~member].max() == 0
    own, other = links(network).T
    knows_a_member = np.bincount(own, member[other], N) > 0
    assert (came & ~knows_a_member).sum() > 0
    assert credit.sum() == (came & knows_a_member).sum() > 100
    possible = np.bincount(own, came[other], N)
    assert (credit <= possible).all()


def test_every_member_among_the_neighbours_is_as_likely_to_be_credited() -> None:
    """Groups of a newcomer and three members; a member's share is a third."""
    rows = np.arange(30_000)
    known = (rows - rows % 4)[:, None] + np.arange(4)
    groups = Network(np.arange(rows.size + 1) * 3, known[known != rows[:, None]].astype(np.int32))
    customers = people(30_000)
    customers.outcome["joined"] = np.where(rows % 4 == 0, 2, 0)
    customers.account["enrolled"] = rows % 4 > 0
    talk(groups, customers, BEHAVIOUR, 5, KEY)
    credit = customers.state["referrals"].reshape(-1, 4)
    assert (credit.sum(axis=1) == 1).all()
    allowed = 5 * math.sqrt(1 / 3 * 2 / 3 / len(credit))
    assert (abs(credit[:, 1:].mean(axis=0) - 1 / 3) < allowed).all()
    before = credit.copy()
    customers.state["referrals"] = 0
    talk(groups, customers, BEHAVIOUR, 6, KEY)
    assert (customers.state["referrals"].reshape(-1, 4) != before).any()  # another week, other luck


@pytest.mark.parametrize("why", ["closed", "newcomer", "left"])
def test_nobody_is_credited_who_is_gone_or_came_in_the_same_week(why: str) -> None:
    customers = people(2)
    customers.outcome["joined"] = 2, 0
    customers.account["enrolled"] = 1
    if why == "closed":
        customers.account["closed"] = 0, 1
    elif why == "left":
        customers.state["alive"] = 1, 0
    else:
        customers.outcome["joined"] = 2  # enrolled at once, but in no position to refer anybody
    pair = Network(np.array([0, 1, 2]), np.array([1, 0], np.int32))
    talk(pair, customers, BEHAVIOUR, 5, KEY)
    assert customers.state["referrals"].sum() == 0


def test_talk_does_not_depend_on_threads() -> None:
    network = graph()
    threads = numba.get_num_threads()
    found = []
    try:
        for count in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
            numba.set_num_threads(count)
            customers = happening()
            talk(network, customers, BEHAVIOUR, 5, KEY)
            found.append([customers.state[name].tobytes() for name in customers.state.dtype.names])
    finally:
        numba.set_num_threads(threads)
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "scale_free"}, "kind='scale_free': choose one of"),
        ({"degree": 5}, "degree=5 must be even"),
        ({"degree": 62}, r"degree=62 is outside \[2, 60\]"),
        ({"rewiring": 1.1}, "rewiring=1.1 is outside"),
        ({"homophily": -0.1}, "homophily=-0.1 is outside"),
    ],
)
def test_impossible_networks_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkParameters(**values)
