"""Identifiers of what an object is, such as ``GO:0005840``."""

from __future__ import annotations

import re
from typing import NamedTuple

#: By name space: how an identifier continues, and the page about it, if there is a public one.
_KNOWN: dict[str, tuple[str, str | None]] = {
    "GO": (r":(\d{7})", "https://amigo.geneontology.org/amigo/term/GO:{}"),
    "UniProtKB": (r":([A-Z0-9]{6,10})", "https://www.uniprot.org/uniprotkb/{}"),
    "CHEBI": (r":(\d+)", "https://www.ebi.ac.uk/chebi/searchId.do?chebiId=CHEBI:{}"),
    "PDB": (r"-([A-Z0-9]{4,8})", "https://www.rcsb.org/structure/{}"),
    "UBERON": (r":(\d{7})", "https://purl.obolibrary.org/obo/UBERON_{}"),
    "CL": (r":(\d{7})", "https://purl.obolibrary.org/obo/CL_{}"),
    "CDPO": (r":(\d+)", None),
}


class OntologyRef(NamedTuple):
    """What an identifier refers to.

    Attributes:
        namespace: Such as ``"GO"``; None if it is not known.
        accession: What follows the name space, or the whole text.
        url: The page about it; None if there is none.
    """

    namespace: str | None
    accession: str
    url: str | None


def parse_identifier(identifier: str | None) -> OntologyRef | None:
    """What an identifier refers to; None for no identifier. Name spaces may be in lower case."""
    if not identifier:
        return None
    text = identifier.strip()
    for space, (rest, page) in _KNOWN.items():
        if found := re.fullmatch(space + rest, text, re.IGNORECASE):
            accession = found[1]
            return OntologyRef(space, accession, None if page is None else page.format(accession))
    return OntologyRef(None, text, None)


def identifier_to_markdown_link(identifier: str | None) -> str | None:
    """An identifier as Markdown: a link where there is a page about it."""
    found = parse_identifier(identifier)
    if found is None or identifier is None:
        return None
    text = identifier.strip()
    return text if found.url is None else f"[{text}]({found.url})"
