"""`new-backend` writes a package whose tests run at once, and fail only where something is to be filled in."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from copick_core.__main__ import main
from copick_core.cli.new_backend import write_package
from copick_core.errors import InvalidNameError


def test_the_tests_of_a_new_backend_fail_only_where_something_is_to_be_filled_in(tmp_path, capsys):
    assert main(["new-backend", "my_store", "--into", str(tmp_path)]) == 0
    folder = tmp_path / "copick_backend_my_store"
    assert capsys.readouterr().out.strip() == str(folder)
    path = os.pathsep.join(p for p in sys.path if p)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "--junitxml=report.xml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout[-3000:] + done.stderr
    cases = [*ElementTree.parse(folder / "report.xml").iter("testcase")]
    texts = [f"{f.get('message')} {f.text}" for case in cases for f in [*case.iter("failure"), *case.iter("error")]]
    assert [text for text in texts if "fill in MyStoreLayer." not in text] == []
    assert len(cases) - len(texts) >= 15


@pytest.mark.parametrize("name", ["My", "a-b", "1a", "", "a__b", "../a", "memory", "stack"])
def test_a_name_that_is_no_package_or_another_backends_is_refused(tmp_path, name):
    with pytest.raises(InvalidNameError):
        write_package(name, tmp_path)

    assert [*tmp_path.iterdir()] == []


def test_what_exists_is_not_overwritten(tmp_path):
    write_package("mine", tmp_path)

    with pytest.raises(FileExistsError):
        write_package("mine", tmp_path)
