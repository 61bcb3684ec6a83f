"""A day of copick's commands, once with the released copick and once with the drop-in: the same projects and files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from copick_formats.star import read_star
from support.comparison import differences, without_writers_choices
from support.libraries import Library
from support.reference_scripts.dump import Dump
from support.reference_scripts.session_files import main as write_files

pytestmark = pytest.mark.slow

OBJECTS = "--objects ribosome,True,120 --objects membrane,False"
#: The commands; {files} is the folder of what they import, {here} that of the session.
COMMANDS = f"""\
config filesystem --overlay-root {{here}}/data {OBJECTS} --config config.json --proj-name session
config filesystem --overlay-root {{here}}/other {OBJECTS} --config other.json --proj-name other
add object --name microtubule --object-type filament --radius 125 --polar --helical-rise 40.5 --label 7
add object --name proteasome --object-type particle --color 10,20,30,255 --pdb-id 3J9I --exist-ok
new run TS_001
new run TS_003
new voxelspacing 20 --run TS_003
add tomogram {{files}}/TS_0*.mrc --run-regex (TS_[0-9]+) --overwrite
add segmentation {{files}}/mask.mrc --run TS_001 --name membrane --segmentation-type binary --user-id alice --voxel-size 10
add picks {{files}}/points.csv --object-name ribosome --user-id alice --session-id 1 --overwrite
add picks-relion {{files}}/particles.star --object-name proteasome --user-id relion --session-id 2 --overwrite
add object-volume --object-name ribosome --volume-path {{files}}/map.mrc --voxel-size 5
stats picks --output json
cp picks ribosome:alice/1 ribosome:bob/2
cp picks ribosome:alice/1 {{{{object_name}}}}:carol/{{{{session_id}}}} --run TS_001
mv picks ribosome:bob/2 ribosome:dora/3
cp segmentation membrane:alice/1@10.0 membrane:bob/1@10.0
rm picks ribosome:carol/1
new picks --particle-name microtubule --out-user me --out-session 5
export picks --picks-uri ribosome:alice/1 --output-format csv --output-dir {{here}}/files
export picks --picks-uri proteasome:relion/2 --output-format star --output-file {{here}}/files/all.star --voxel-size 10
export tomogram --tomogram-uri wbp@10.0 --output-format mrc --output-dir {{here}}/files
export segmentation --segmentation-uri membrane:alice/1@10.0 --output-format mrc --output-dir {{here}}/files
sync picks --target-config {{here}}/other.json --source-objects ribosome --source-users alice --target-users alice:zoe
deposit --target-dir {{here}}/deposit --picks ribosome:alice/1 --tomograms wbp@10.0
info
"""
CODE = "import sys; from copick.cli.cli import main; sys.argv[0] = 'copick'; main()"


@dataclass(frozen=True)
class Session:
    folder: Path
    codes: list[int]
    outputs: list[str]

    def files(self) -> list[str]:
        """Everything that was written, without the folders of chunks, and without the markers that only our deposits have."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if not path.is_dir() or path.is_symlink())
        kept = (path for path in found if not any(".zarr" in part for part in path.parts[:-1]))
        return sorted(str(path) for path in kept if path.parts[0] != "deposit" or path.name != ".meta")

    def read_by(self, library: Library, config: str):
        return library.dump(self.folder / config)


def work(python: Path, folder: Path, files: Path) -> Session:
    folder.mkdir()
    codes, outputs = [], []
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COPICK"))}
    kept["COPICK_CONFIG"] = str(folder / "config.json")
    for line in COMMANDS.splitlines():
        words = [word.format(files=files, here=folder) for word in line.split()]
        done = subprocess.run(
            [str(python), "-c", CODE, *words], cwd=folder, env=kept, capture_output=True, text=True, check=False
        )
        codes.append(done.returncode)
        outputs.append(done.stdout)
    return Session(folder, codes, outputs)


def rounded(value: Any) -> Any:
    """Numbers to 12 decimals: angles of STAR files become matrices in another order of operations."""
    if isinstance(value, float):
        return round(value, 12) + 0.0
    if isinstance(value, list):
        return [*map(rounded, value)]
    return {key: rounded(one) for key, one in value.items()} if isinstance(value, dict) else value


def comparable(dump: Dump) -> Dump:
    """A dump without what a writer decides for itself, and without rounding errors of picks."""
    kept = without_writers_choices(dump)
    for key, record in kept.records.items():
        if "/picks/" in key:
            record["points"] = rounded(record["points"])
    for key, array in kept.arrays.items():
        if "/picks/" in key:
            kept.arrays[key] = np.round(array, 12) + 0.0
    return kept


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def theirs(reference_env: Path, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return work(reference_env, tmp_path_factory.mktemp("theirs") / "session", files)


@pytest.fixture(scope="module")
def ours(dropin_env: Path, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return work(dropin_env, tmp_path_factory.mktemp("ours") / "session", files)


@pytest.fixture(scope="module")
def released(reference_env: Path) -> Library:
    return Library("copick", (str(reference_env), "-I"))


def test_every_command_succeeds_on_both(theirs, ours):
    assert theirs.codes == [0] * 26
    assert ours.codes == [0] * 26


def test_the_same_files_are_written(theirs, ours):
    assert ours.files() == theirs.files()


@pytest.mark.parametrize("config", ["config.json", "other.json"])
def test_the_released_copick_reads_equal_values_names_and_metadata(theirs, ours, released, config):
    found, expected = ours.read_by(released, config), theirs.read_by(released, config)

    assert differences(comparable(expected), comparable(found)) == []


def test_exported_tables_are_equal(theirs, ours):
    for name in ("TS_001_ribosome_alice_1.csv", "TS_002_ribosome_alice_1.csv"):
        texts = [(s.folder / "files" / name).read_text() for s in (theirs, ours)]
        rows = [[*csv.DictReader(text.splitlines())] for text in texts]
        assert rows[0] == rows[1]
        assert len(rows[0]) == 5
    tables = []
    for session in (theirs, ours):
        (particles,) = [b for b in read_star(str(session.folder / "files" / "all.star")) if b.name == "particles"]
        tables.append({label: [*cells] for label, cells in particles.columns.items()})
    assert tables[0].keys() == tables[1].keys()
    assert tables[0].pop("rlnTomoName") == tables[1].pop("rlnTomoName")
    for label, cells in tables[0].items():
        assert [*map(float, tables[1][label])] == pytest.approx([*map(float, cells)], abs=2e-6)


def test_exported_volumes_are_equal(theirs, ours):
    import mrcfile

    for path in sorted((theirs.folder / "files").rglob("*.mrc")):
        other = ours.folder / path.relative_to(theirs.folder)
        with mrcfile.open(path) as one, mrcfile.open(other) as two:
            assert one.data.dtype == two.data.dtype
            assert (one.data == two.data).all()
            assert one.voxel_size == two.voxel_size


def test_counts_are_equal(theirs, ours):
    number = next(i for i, line in enumerate(COMMANDS.splitlines()) if line.startswith("stats"))
    text = theirs.outputs[number]

    assert json.loads(ours.outputs[number]) == json.loads(text[text.index("{") :])
