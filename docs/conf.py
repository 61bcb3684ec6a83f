"""The site: ``python -m sphinx -W --keep-going docs site`` builds it, and fails on whatever does not lead somewhere."""

from __future__ import annotations

import posixpath
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import copick_core  # noqa: E402
import site_pages  # noqa: E402 - lies beside this file
from site_pages import api, distributions, readmes  # noqa: E402

project = "copick-core"
author = copyright = "The copick-core developers"
version = release = copick_core.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["site_pages"]
nitpicky = True

html_theme = "furo"
html_title = "copick-core"
html_static_path: list[str] = []
html_copy_source = False

myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"exclude-members": "model_config, model_fields, model_computed_fields, model_post_init"}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

#: Sections of the site; index.md has the same, with a line on each page.
SECTIONS = {
    "Tutorial": ["quickstart", "day"],
    "How to": [
        "configuration",
        "import-and-export",
        "history",
        "portal",
        "compose-volume",
        "from-copick-1",
        "dropin",
        "scaling",
        "viewer",
        "serving",
        "training",
        "writing-a-plugin",
    ],
    "Reference": [
        "reference/api",
        "reference/fields",
        "reference/commands",
        "on-disk-format",
        "file-conventions",
        *(f"conventions/{name}" for name in ("relion", "dynamo", "tom", "imod", "tables", "others", "cets", "volumes")),
    ],
    "Distributions": [f"reference/{source.parent.name}.readme" for source in distributions.sources()],
    "Explanation": ["concepts", "architecture", "performance", "platforms", "testing", "releasing"],
}


def make_reference(app: Sphinx, config: Any) -> None:
    """Write the pages that are made from the code."""
    site_pages.write(HERE / "reference")
    finish_models(BaseModel)


def finish_models(base: type[BaseModel]) -> None:
    """Build the models that wait for their first use: autodoc looks at their inside before they know themselves."""
    for model in base.__subclasses__():
        if model.__module__.startswith("copick_"):
            model.model_rebuild()
        finish_models(model)


def adapt(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add what only the site has: the pages stay plain Markdown for those who read them elsewhere."""
    if not docname.startswith("reference/"):
        source[0] = readmes.linked(source[0], posixpath.dirname(f"docs/{docname}"), f"docs/{docname}")
    if docname == "index":
        for title, pages in SECTIONS.items():
            there = [page for page in pages if page in app.env.found_docs]
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {title}", *there, "```\n"])


def find_public_name(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """Link a name to where it is described; a name of another package, or one that is not public, stays plain code.

    A name that does not exist is left to Sphinx, which warns: the build fails.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    home = ALIASES.get(target)
    if home and home != target:
        return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, contnode)
    return contnode if not target.startswith("copick_") or api.exists(target) else None


def drop_inner_bases(app: Sphinx, name: str, obj: Any, options: Any, bases: list[Any]) -> None:
    """Show only the bases that somebody can look up."""
    public = [b for b in bases if isinstance(b, type) and (not b.__module__.startswith("copick_") or _name(b) in ALIASES)]
    bases[:] = public or [object]


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


ALIASES = api.aliases()


def setup(app: Sphinx) -> None:
    """Register the above."""
    app.connect("config-inited", make_reference)
    app.connect("env-get-outdated", lambda *_: ["index"])  # its contents depend on which pages exist
    app.connect("source-read", adapt)
    app.connect("autodoc-process-bases", drop_inner_bases)
    app.connect("missing-reference", find_public_name)
