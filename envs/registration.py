"""Gymnasium ids; called through the entry point of the group ``gymnasium.envs``."""

import gymnasium as gym


def register() -> None:
    """Register ``loyaltylab/Offers-v0`` and ``loyaltylab/ProgrammeDesign-v0``."""
    if "loyaltylab/Offers-v0" not in gym.registry:
        gym.register(
            id="loyaltylab/Offers-v0",
            entry_point="envs.single_offer:OfferEnv",
            vector_entry_point="envs.offers:OfferVectorEnv",
        )
    if "loyaltylab/ProgrammeDesign-v0" not in gym.registry:
        gym.register(
            id="loyaltylab/ProgrammeDesign-v0",
            entry_point="envs.design.environment:ProgrammeDesignEnv",
        )
