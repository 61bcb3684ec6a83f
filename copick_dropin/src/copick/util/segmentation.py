"""Segmentations."""

from copick_core.models import PANOPTIC_CHANNELS

__all__ = ["PANOPTIC_CHANNELS"]
