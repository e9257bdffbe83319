"""Likelihoods against pymc-marketing's, an independent implementation."""

import numpy as np
import pymc as pm
import pytest
from pymc_marketing.clv.distributions import BetaGeoNBD
from pymc_marketing.clv.distributions import ParetoNBD as PeerParetoNBD
from pytensor.compile.mode import Mode

from agents.calibration.purchase_likelihoods import BGNBD, ParetoNBD
from agents.calibration.sufficient import PurchaseHistories

X = np.array([0, 0, 1, 2, 5, 9, 29])
T_X = np.array([0.0, 0.0, 3.0, 30.4, 10.0, 38.9, 35.0])
AGE = np.array([1.0, 38.9, 27.0, 31.0, 38.9, 38.9, 36.0])


@pytest.mark.parametrize(
    ("ours", "peer", "names", "point"),
    [
        (ParetoNBD, PeerParetoNBD, ("r", "alpha", "s", "beta"), (0.553, 10.578, 0.606, 11.669)),
        (ParetoNBD, PeerParetoNBD, ("r", "alpha", "s", "beta"), (1.4, 6.0, 2.0, 40.0)),
        (BGNBD, BetaGeoNBD, ("r", "alpha", "a", "b"), (0.243, 4.414, 0.793, 2.426)),
    ],
)
def test_each_customers_likelihood_is_the_peers(ours, peer, names, point):
    expected = pm.logp(
        peer.dist(**dict(zip(names, point, strict=True)), T=AGE), np.column_stack([T_X, X])
    ).eval(mode=Mode(linker="py", optimizer="fast_compile"))
    for i in range(len(X)):
        one = PurchaseHistories(X[i : i + 1], T_X[i : i + 1], AGE[i : i + 1], np.ones(1, np.int64))
        value, _ = ours(one)(np.array(point))
        assert value == pytest.approx(expected[i], abs=1e-4)
