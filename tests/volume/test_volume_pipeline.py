"""The command line of the compose volume, and the example that goes from slices to a mesh."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from copick_core.__main__ import main
from support import volume_generator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "volume_pipeline.py"


def ball(tmp_path):
    """Slices with a bright ball in noise, and masks of some."""
    z, y, x = np.mgrid[:24, :48, :40]
    inside = (z - 12) ** 2 + (y - 24) ** 2 + (x - 20) ** 2 < 9**2
    image = np.where(inside, 180, 60) + np.random.default_rng(0).normal(0, 15, inside.shape)
    folder = tmp_path / "slices"
    (folder / "masks").mkdir(parents=True)
    for k in range(24):
        Image.fromarray(image[k].clip(0, 255).astype(np.uint8)).save(folder / f"s_{k:03d}.png")
    for k in (6, 12, 17):
        Image.fromarray((inside[k] * 255).astype(np.uint8)).save(folder / "masks" / f"s_{k:03d}.png")
    return folder, inside


def test_the_example_says_how_to_install_everything_that_it_imports():
    tree = ast.parse(EXAMPLE.read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    needed = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    install = next(line for line in ast.get_docstring(tree).splitlines() if "pip install" in line)

    brought = {"copick_core": "copick-core[volume]", "numpy": "copick-core", "PIL": "copick-core[volume]"}
    for package in needed:
        assert {"sklearn": "scikit-learn", **brought}.get(package, package) in install


def test_the_example_goes_from_slices_to_a_mesh(tmp_path):
    pytest.importorskip("sklearn", reason="the example trains with scikit-learn")
    spec = importlib.util.spec_from_file_location("volume_pipeline", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    slices, inside = ball(tmp_path)

    result = example.pipeline(slices, tmp_path / "volume")

    assert result["status"] == "MESHED"
    assert result["watertight"]
    assert result["shape"] == inside.shape
    assert result["voxels"] == pytest.approx(inside.sum(), rel=0.15)
    assert result["volume"] == pytest.approx(result["voxels"], rel=0.15)


def test_jobs_are_listed(generated, capsys):
    assert main(["volume", "jobs", str(generated.root)]) == 0

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "MESHED" in lines["CC7651"]
    assert "12x40x30" in lines["CC7651"]
    assert "12E345" in lines


def test_the_doctor_fails_where_something_is_wrong(generated, capsys):
    assert main(["volume", "doctor", str(generated.root)]) == 1
    assert "bad-entry" in capsys.readouterr().out


def test_the_doctor_is_content_with_a_sound_volume(tmp_path, capsys):
    volume = volume_generator.GeneratedVolume(tmp_path / "sound")
    volume.job("CC7651", "CONVERTED", [30, 40, 12])
    volume.uploads("CC7651", volume.image("CC7651"))
    volume.save()

    assert main(["volume", "doctor", str(volume.root)]) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings\n"


def test_uploads_are_converted_and_bad_ones_fail(generated, capsys):
    generated.job("12E345", "UPLOADED")
    generated.job("AB0002", "UPLOADED")
    generated.uploads("AB0002", np.zeros((12, 4, 4), np.uint8), pattern="s{}.png")
    generated.save()

    assert main(["volume", "convert", str(generated.root)]) == 1

    printed = capsys.readouterr()
    assert "12E345: shape (z, y, x) (3, 20, 24)" in printed.out
    assert "AB0002" in printed.err
    assert main(["volume", "convert", str(generated.root), "--job", "12E345"]) == 1


def test_a_segmentation_is_meshed(generated, capsys):
    assert main(["volume", "mesh", str(generated.root), "--job", "CC7651"]) == 0
    assert "label-255 of segmentation 1720196900" in capsys.readouterr().out
    assert main(["volume", "mesh", str(generated.root), "--job", "FFFFFF"]) == 1


def test_a_folder_that_is_missing_is_an_error_line(tmp_path):
    command = [sys.executable, "-m", "copick_core", "volume", "jobs", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
