"""Export the picks of a project to a STAR file with copick 1.31: helical.py CONFIG PICKS STAR frame|pose.

Runs in the interpreter of the released library, so it uses nothing but that library.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import copick
    from copick.ops.export import export_relion_particles

    config, picks, star, angles = sys.argv[1:]
    root = copick.from_file(config)
    export_relion_particles(
        root, picks, star, voxel_spacing=10.0, filament_columns="on", filament_angles=angles, half_sets="filament"
    )
