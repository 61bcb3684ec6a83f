"""Core names no backend, no command of a plugin and no file format in its code: only ``plugins/known.toml`` does."""

import ast
import re
from pathlib import Path

import pytest

from copick_core.plugins import known

CORE = Path(__file__).parents[2] / "copick_core" / "src" / "copick_core"
KNOWN = known()
#: Core's own words for what holds voxels, for tilt series and for the configuration are names of commands; GLB is how core
#: stores meshes.
OWN = {"volume", "glb", "config", "run"}
NAMES = {name for table in ("backends", "commands", "formats", "wrappers") for name in KNOWN[table]} - OWN
#: Names that are words of this code too: those are looked for as whole texts, as a config, a registry or a call has them.
WORDS = {"cache", "copy", "demo", "em", "log", "memory", "tree"} | {
    *(
        "add",
        "branch",
        "compare",
        "completion",
        "cp",
        "diff",
        "export",
        "gc",
        "import",
        "index",
        "info",
        "init",
        "ls",
        "merge",
        "mv",
        "render",
        "restore",
        "review",
        "rm",
        "serve",
        "show",
        "split",
        "stats",
        "sync",
        "tag",
        "view",
    )
}
PATTERN = re.compile(
    rf"(?i)(?<![a-z])({'|'.join(map(re.escape, sorted(NAMES - WORDS)))})(?![a-z])"
    r"|copick[_-](backend_(fs|icechunk|memory|portal|volume)|tools|formats|layers|train|view|dropin)"
    rf"|copick-core\[({'|'.join({requirement.partition('[')[2].rstrip(']') for requirement in KNOWN['backends'].values()})})\]"
    rf"|({'|'.join(re.escape(suffix) for suffix, name in KNOWN['suffixes'].items() if name not in OWN)})$"
)
#: Where a word, or a name, means something else: the file, the text, and what it means.
MEANINGS = {
    ("cli/quick.py", "gc"): "Python's garbage collector",
    ("cli/foreign.py", "convert"): "a group of copick that others bring commands to",
    ("picks/collector.py", "gc"): "Python's garbage collector",
    ("volumes/free_memory.py", "memory"): "the controller of control groups",
    ("projects/annotation_exports.py", "merge"): "an argument",
    ("projects/annotation_files.py", "merge"): "an argument",
    ("testing/samples.py", "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.mrc"): "a file that is not an entity",
    ("testing/samples.py", "ExperimentRuns/TS_1/Segmentations/10.000_me_1_ribo.mrc"): "a file that is not an entity",
    ("testing/samples.py", "Objects/ribo.mrc"): "a file that is not an entity",
}


def texts(path: Path):
    """Texts and imported modules of a file's code; docstrings are not code."""
    tree = ast.parse(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def named(path: str):
    """What a file names, but for what means something else."""
    for text in texts(CORE / path):
        if (PATTERN.search(text) or text in WORDS) and (path, text) not in MEANINGS:
            yield text


@pytest.mark.parametrize("path", sorted(path.relative_to(CORE).as_posix() for path in CORE.rglob("*.py")))
def test_a_file_of_core_names_no_plugin(path):
    assert [*named(path)] == []


@pytest.mark.parametrize(("path", "text"), MEANINGS)
def test_every_exception_is_needed(path, text):
    assert text in texts(CORE / path)
