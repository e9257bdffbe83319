"""The decision problem: environments, features, constraints, allocation.

Importing this package registers ``loyaltylab/Offers-v0`` with Gymnasium, as its users expect;
``gymnasium.make("envs:loyaltylab/Offers-v0")`` does the import itself.
"""

from envs.registration import register

register()
