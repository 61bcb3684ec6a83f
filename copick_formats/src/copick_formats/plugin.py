"""What copick-core finds of this package: one record for each format."""

from __future__ import annotations

from copick_core.plugins import Format, hookimpl


@hookimpl
def copick_format() -> list[Format]:
    """Return the formats."""
    return [
        Format(
            "mrc",
            api_version=1,
            suffixes=(".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".st", ".ali", ".preali"),
            sniff="copick_formats.mrc:is_mrc",
            reads={"volume": "copick_formats.mrc:read_mrc"},
            summary="MRC2014: tomograms and density maps",
            url="https://www.ccpem.ac.uk/mrc-format/mrc2014/",
        ),
        Format(
            "tiff",
            api_version=1,
            suffixes=(".tif", ".tiff"),
            sniff="copick_formats.tiff:is_tiff",
            reads={"volume": "copick_formats.tiff:read_tiff"},
            summary="TIFF stacks, also of ImageJ and OME",
            url="https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html",
        ),
        Format(
            "em",
            api_version=1,
            suffixes=(".em",),
            sniff="copick_formats.em:is_em",
            reads={"volume": "copick_formats.em:read_em"},
            summary="EM: volumes of the EM program and the TOM toolbox",
        ),
    ]
