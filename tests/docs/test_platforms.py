"""Every module of every distribution can be imported on Windows and macOS, as docs/platforms.md promises."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("copick_*", "examples/copick_*") for path in ROOT.glob(f"{folder}/src/**/*.py"))

#: Modules of the standard library that Windows or macOS do not have.
MODULES = {"crypt", "fcntl", "grp", "ossaudiodev", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}

#: What ``os`` has on Linux only, or on Linux and macOS only.
OF_OS = {
    *("O_CLOEXEC", "O_DIRECT", "O_DIRECTORY", "O_NOFOLLOW", "O_PATH", "O_TMPFILE", "chown", "fchmod", "fork", "geteuid"),
    *("getgid", "getloadavg", "getuid", "memfd_create", "posix_fadvise", "pread", "pwrite", "register_at_fork"),
    *("sched_getaffinity", "sched_setaffinity", "sendfile", "statvfs", "sysconf", "uname"),
}


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What Python runs when it imports a module: no bodies of functions, and nothing that is tried or asked for first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            around = [child.args, *getattr(child, "decorator_list", [])]
            for part in around:
                yield from run_at_import(part)
        elif not is_guarded(child):
            yield child
            yield from run_at_import(child)


def is_guarded(node: ast.AST) -> bool:
    if isinstance(node, ast.Try):
        return any("ImportError" in ast.unparse(handler.type) for handler in node.handlers if handler.type)
    return isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in ("TYPE_CHECKING", "hasattr"))


def bound_to_linux(source: str) -> set[str]:
    found = set()
    for node in run_at_import(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module} & MODULES
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {f"os.{name}" for name in OF_OS}:
            found.add(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=[path.relative_to(ROOT).as_posix() for path in SOURCES])
def test_nothing_that_only_linux_has_is_used_when_a_module_is_imported(path):
    assert bound_to_linux(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", {"fcntl"}),
        ("class A:\n    import pwd", {"pwd"}),
        ("from resource import getrusage", {"resource"}),
        ("import os\nFLAGS = os.O_DIRECTORY", {"os.O_DIRECTORY"}),
        ("import os\ndef f(n=os.sched_getaffinity(0)): ...", {"os.sched_getaffinity"}),
        ("def f():\n    import fcntl", set()),
        ("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None", set()),
        ("from .resource import x", set()),
    ],
)
def test_the_check_knows_what_runs_at_import(source, found):
    assert bound_to_linux(source) == found


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not have them")
def test_the_names_of_os_exist_on_the_system_that_has_them():
    assert {name for name in OF_OS if not hasattr(os, name)} <= {"O_CLOEXEC", "O_DIRECT"}


@pytest.mark.parametrize("project", sorted(ROOT.glob("copick_*/pyproject.toml")), ids=lambda path: path.parent.name)
def test_every_wheel_is_pure_python(project):
    text = project.read_text(encoding="utf-8")

    assert 'build-backend = "hatchling.build"' in text
    assert "build.hooks" not in text
