"""The kinds of curves, and the constants of their definition."""

from __future__ import annotations

#: Kinds of curves that can be evaluated. Curves of other kinds are kept as they are.
CURVE_KINDS = ("catmull-rom", "linear", "bspline")
#: Kinds of curves that pass through their control points.
INTERPOLATING_KINDS = ("catmull-rom", "linear")
#: Parametrisation of Catmull-Rom curves where none is given: centripetal, which has no loops or cusps.
DEFAULT_ALPHA = 0.5
#: Degrees that B-splines can have: 1 to this.
MAX_DEGREE = 5
#: Angstrom; consecutive control points of interpolating curves must be farther apart.
MIN_POINT_DISTANCE = 1e-6
#: Smallest number of fine samples for each piece of a curve.
MIN_SAMPLES = 16
#: Fine samples for each step along a piece.
SAMPLES_PER_STEP = 16
#: How far, as a fraction of the step, a curve's anchors may lie from points that it describes.
CURRENT_FRACTION = 0.01
