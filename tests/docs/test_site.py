"""The site describes everything that is public. The pages are made without Sphinx here; .ci/run builds the site strictly."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from copick_core import plugins
from site_pages import api, commands, configuration, pages, readmes

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("module", sorted(api.modules()))
def test_every_public_name_is_on_the_page_of_its_module(module):
    page = pages()[f"{module}.rst"]

    missing = [
        name
        for name in getattr(importlib.import_module(module), "__all__", [])
        if not re.search(rf"(:: {re.escape(module)}\.|`){name}\b", page)
    ]

    assert missing == []


def test_each_public_object_is_described_once():
    described = re.findall(r"^\.\. auto(?:class|function|data):: \S+", "\n".join(pages().values()), re.M)

    assert len(described) == len(set(described)) > 100


@pytest.mark.parametrize("title", configuration.models())
def test_every_field_of_every_configuration_is_in_the_reference_with_its_meaning(title):
    section = pages()["fields.md"].split(f"\n## {title}\n")[1].split("\n## ")[0]

    rows = re.findall(r"^\| `(\w+)` \| `.+` \| .+ \| \S.* \|$", section, re.M)

    assert rows == configuration.fields(configuration.models()[title])


def test_the_reference_has_the_configuration_of_every_installed_backend():
    headings = re.findall(r"^## Backend (\S+)$", pages()["fields.md"], re.M)

    assert headings == plugins.backends.names()


def test_every_command_and_option_is_in_the_reference():
    page, registered = pages()["commands.md"], [*commands.commands()]

    assert registered
    for name, command in registered:
        section = page.split(f"# {name}\n\n```text\n")[1].split("\n#")[0]
        options = [o for p in command.params if isinstance(p, click.Option) and not p.hidden for o in p.opts]
        assert [o for o in options if o not in section] == [], name


def test_the_commands_of_the_reference_are_those_that_are_registered():
    headings = re.findall(r"^## (\S+)$", pages()["commands.md"], re.M)

    assert headings == plugins.commands.names()


def test_every_hand_written_page_is_in_the_contents_of_the_site():
    contents = (DOCS / "conf.py").read_text()
    front = (DOCS / "index.md").read_text()
    written = [page for page in DOCS.glob("*.md") if page.name != "index.md"]

    assert len(written) > 10
    for page in written:
        assert f'"{page.stem}"' in contents, page.name
        assert f"({page.name})" in front, page.name


@pytest.mark.parametrize(
    ("link", "on_the_site"),
    [
        ("[a](concepts.md#layers)", "[a](concepts.md#layers)"),
        ("[a](../copick_core/README.md#extras)", "[a](reference/copick_core.readme.md#extras)"),
        ("[a](../examples/copick_backend_sqlite)", "a"),
        ("[a](../examples/copick_backend_sqlite/README.md)", "a"),
        ("[a](https://example.org/x.md)", "[a](https://example.org/x.md)"),
        ("![a](images/demo.png)", "![a](images/demo.png)"),
        ("```text\n[a](../examples/x.md)\n```", "```text\n[a](../examples/x.md)\n```"),
    ],
)
def test_links_of_a_page_lead_to_where_their_targets_are_on_the_site(link, on_the_site):
    assert readmes.linked(link, "docs", "docs/quickstart") == on_the_site


def test_links_of_a_readme_lead_to_the_pages_of_the_site():
    text = "[portal](../docs/portal.md), [core](../copick_core/README.md)"

    linked = readmes.linked(text, "copick_backend_portal", "docs/reference/copick_backend_portal.readme")

    assert linked == "[portal](../portal.md), [core](copick_core.readme.md)"


@pytest.mark.slow
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    pytest.importorskip("furo")
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-c",
        str(DOCS),
        str(tmp_path),
        str(tmp_path / "site"),
    ]
    (tmp_path / "index.md").write_text("# Front\n\n[nothing](nowhere.md), [no heading](index.md#absent)\n")

    done = subprocess.run(build, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "'nowhere.md'" in done.stderr
    assert "'absent'" in done.stderr
