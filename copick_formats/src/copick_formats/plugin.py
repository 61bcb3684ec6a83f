"""What copick-core finds of this package: one record for each format and command."""

from __future__ import annotations

from copick_core.plugins import Command, Format, hookimpl


@hookimpl
def copick_format() -> list[Format]:
    """Return the formats."""
    return [*_volumes(), *_points(), *_meshes()]


@hookimpl
def copick_command() -> list[Command]:
    """Return the commands."""
    return [
        Command(
            "import",
            1,
            "copick_formats.commands.imports:imports",
            "import picks, filaments, meshes and tomograms from files of other programs",
        ),
        Command(
            "export",
            1,
            "copick_formats.commands.exports:exports",
            "export picks, filaments, meshes and volumes to files of other programs",
        ),
    ]


def _volumes() -> list[Format]:
    return [
        Format(
            "mrc",
            api_version=1,
            suffixes=(".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".st", ".ali", ".preali"),
            sniff="copick_formats.mrc:is_mrc",
            reads={"volume": "copick_formats.mrc:read_mrc"},
            writes={"volume": "copick_formats.volume_writing:write_mrc"},
            summary="MRC2014: tomograms and density maps",
            url="https://www.ccpem.ac.uk/mrc-format/mrc2014/",
        ),
        Format(
            "tiff",
            api_version=1,
            suffixes=(".tif", ".tiff"),
            sniff="copick_formats.tiff:is_tiff",
            reads={"volume": "copick_formats.tiff:read_tiff"},
            writes={"volume": "copick_formats.volume_writing:write_tiff"},
            summary="TIFF stacks, also of ImageJ and OME",
            url="https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html",
        ),
        Format(
            "em",
            api_version=1,
            suffixes=(".em",),
            sniff="copick_formats.em:is_em",
            reads={"volume": "copick_formats.em:read_em", "picks": "copick_formats.motive_list:read_motive_list"},
            writes={
                "volume": "copick_formats.volume_writing:write_em",
                "picks": "copick_formats.motive_list:write_motive_list",
            },
            summary="EM: volumes and motive lists of the EM program and the TOM toolbox",
        ),
        Format(
            "nrrd",
            api_version=1,
            suffixes=(".nrrd",),
            sniff="copick_formats.nrrd:is_nrrd",
            reads={"volume": "copick_formats.nrrd:read_nrrd"},
            writes={"volume": "copick_formats.volume_writing:write_nrrd"},
            summary="NRRD: volumes",
            url="https://teem.sourceforge.net/nrrd/format.html",
        ),
        Format(
            "ome-zarr",
            api_version=1,
            suffixes=(".zarr",),
            writes={"volume": "copick_formats.volume_writing:write_ome_zarr"},
            summary="OME-Zarr folders",
            url="https://ngff.openmicroscopy.org/",
        ),
    ]


def _points() -> list[Format]:
    return [
        Format(
            "relion",
            api_version=1,
            suffixes=(".star",),
            sniff="copick_formats.relion:is_relion",
            reads={
                "picks": "copick_formats.relion:read_relion",
                "filaments": "copick_formats.relion_filaments:read_relion_filaments",
                "tomograms": "copick_formats.relion_tomograms:read_listed_tomograms",
            },
            writes={
                "picks": "copick_formats.relion_writing:write_relion",
                "filaments": "copick_formats.relion_filaments:write_relion_filaments",
            },
            summary="STAR: particles of RELION 3.0 to 5.1, Warp and M, and filaments of helical processing",
            url="https://relion.readthedocs.io/en/latest/Reference/Conventions.html",
        ),
        Format(
            "relion-import",
            api_version=1,
            suffixes=(),  # a folder
            writes={"picks": "copick_formats.relion_writing:write_relion_import"},
            summary="folders of STAR files for RELION's import of coordinates",
        ),
        Format(
            "stopgap",
            api_version=1,
            suffixes=(),  # found by content; a new .star file is RELION's unless STOPGAP is asked for
            sniff="copick_formats.motive_list:is_stopgap",
            reads={"picks": "copick_formats.motive_list:read_stopgap"},
            writes={"picks": "copick_formats.motive_list:write_stopgap"},
            summary="STAR: motive lists of STOPGAP",
            url="https://github.com/wan-lab-vanderbilt/STOPGAP",
        ),
        Format(
            "dynamo",
            api_version=1,
            suffixes=(".tbl",),
            reads=_both("dynamo", "read_dynamo"),
            writes=_both("dynamo", "write_dynamo"),
            summary="tables of particles of Dynamo",
            url="https://www.dynamo-em.org/w/index.php?title=Table",
        ),
        Format(
            "dynamo-list",
            api_version=1,
            suffixes=(".doc",),
            reads={"tomograms": "copick_formats.numbered_runs:read_listed_tomograms"},
            summary="lists of tomograms of Dynamo",
        ),
        Format(
            "imod",
            api_version=1,
            suffixes=(".mod", ".fid"),
            sniff="copick_formats.imod:is_imod",
            reads={**_both("imod", "read_imod"), "mesh": "copick_formats.imod:read_imod_mesh"},
            writes=_both("imod", "write_imod"),
            summary="IMOD models: points, open contours as filaments, meshes",
            url="https://bio3d.colorado.edu/imod/doc/binspec.html",
        ),
        Format(
            "csv",
            api_version=1,
            suffixes=(".csv", ".tsv"),
            sniff="copick_formats.copick_tables:is_csv",
            reads=_both("copick_tables", "read_csv"),
            writes=_both("copick_tables", "write_csv"),
            summary="CSV and TSV tables with x, y and z in angstrom",
        ),
        Format(
            "parquet",
            api_version=1,
            suffixes=(".parquet",),
            sniff="copick_formats.copick_tables:is_parquet",
            reads=_both("copick_tables", "read_parquet"),
            writes=_both("copick_tables", "write_parquet"),
            summary="Parquet tables with x, y and z in angstrom (extra tables)",
        ),
        Format(
            "cbox",
            api_version=1,
            suffixes=(".cbox",),
            sniff="copick_formats.boxes:is_cbox",
            reads={"picks": "copick_formats.boxes:read_cbox"},
            summary="boxes of crYOLO in tomograms",
            url="https://cryolo.readthedocs.io/",
        ),
        Format(
            "eman2",
            api_version=1,
            suffixes=(".json", ".box"),  # .box is refused with the reason
            sniff="copick_formats.boxes:is_eman2",
            reads={"picks": "copick_formats.boxes:read_eman2"},
            summary="info files of EMAN2: boxes in tomograms",
            url="https://blake.bcm.edu/emanwiki/EMAN2",
        ),
        Format(
            "cets",
            api_version=1,
            suffixes=(".cets.json",),
            sniff="copick_formats.cets:is_cets",
            reads={
                **_both("cets", "read_cets"),
                "mesh": "copick_formats.cets:read_cets_mesh",
                "volume": "copick_formats.cets:read_cets_volume",
            },
            writes={
                **_both("cets_writing", "write_cets"),
                "mesh": "copick_formats.cets_writing:write_cets_mesh",
                "volume": "copick_formats.cets_writing:write_cets_volume",
            },
            summary="CETS 0.1 (experimental): points, splines, meshes and masks of regions",
            url="https://github.com/TomoBabel/cets-data-models",
        ),
    ]


def _both(module: str, name: str) -> dict[str, str]:
    """Functions for points, and the one of the same name for filaments."""
    return {"picks": f"copick_formats.{module}:{name}", "filaments": f"copick_formats.{module}:{name}_filaments"}


def _meshes() -> list[Format]:
    summaries = {
        "stl": "STL: triangles",
        "obj": "Wavefront OBJ: meshes",
        "ply": "PLY: meshes",
        "glb": "binary glTF: meshes and scenes",
    }
    sniffs = {"ply": "copick_formats.mesh_files:is_ply", "glb": "copick_formats.mesh_files:is_glb"}
    return [
        Format(
            name,
            api_version=1,
            suffixes=(f".{name}",),
            sniff=sniffs.get(name),
            reads={"mesh": f"copick_formats.mesh_files:read_{name}"},
            writes={"mesh": f"copick_formats.mesh_files:write_{name}"},
            summary=summary,
        )
        for name, summary in summaries.items()
    ]
