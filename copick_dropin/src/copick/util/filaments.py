"""Mathematics of filaments: curves to points, and points to curves."""

from copick_core.filaments.curves import check_curve, curve_anchors, evaluate_curve
from copick_core.filaments.fitting import (
    control_points_from_polyline,
    curve_is_current,
    distances_to_polyline,
    median_spacing,
    reverse_knots,
)
from copick_core.filaments.kinds import (
    CURRENT_FRACTION,
    CURVE_KINDS,
    MAX_DEGREE,
    MIN_POINT_DISTANCE,
    MIN_SAMPLES,
    SAMPLES_PER_STEP,
)

__all__ = [
    "CURRENT_FRACTION",
    "CURVE_KINDS",
    "MAX_DEGREE",
    "MIN_POINT_DISTANCE",
    "MIN_SAMPLES",
    "SAMPLES_PER_STEP",
    "check_curve",
    "control_points_from_polyline",
    "curve_anchors",
    "curve_is_current",
    "distances_to_polyline",
    "evaluate_curve",
    "median_spacing",
    "reverse_knots",
]
