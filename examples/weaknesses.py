"""Texts with label sets: the Common Weakness Enumeration, which the package ``cwe2`` ships.

It says for each weakness of software which properties of a system suffer: Confidentiality, Integrity, Availability,
Access Control and others, any number of them. These sets are the labels, and name and description the text; the
section on consequences, where the labels come from, is not part of it.
"""

from importlib.resources import as_file, files
from pathlib import Path
from xml.etree import ElementTree

import numpy as np


def read_weaknesses():
    """Return titles, texts and label sets, as three arrays of objects."""
    with as_file(files("cwe2")) as folder:
        root = ElementTree.parse(next(Path(folder).rglob("cwec_*.xml"))).getroot()
    cwe = root.tag.removesuffix("Weakness_Catalog")  # the XML namespace, in braces

    titles, texts, label_sets = [], [], []
    for weakness in root.iter(f"{cwe}Weakness"):
        scopes = {scope.text for scope in weakness.iterfind(f"{cwe}Common_Consequences/{cwe}Consequence/{cwe}Scope")}
        if not scopes:
            continue
        parts = [weakness.find(f"{cwe}{name}") for name in ("Description", "Extended_Description")]
        words = " ".join(" ".join(part.itertext()) for part in parts if part is not None).split()
        titles.append(f"CWE-{weakness.get('ID')} {weakness.get('Name')}")
        texts.append(f"{weakness.get('Name')}. {' '.join(words)}")
        label_sets.append(scopes)
    return tuple(np.array(column, dtype=object) for column in (titles, texts, label_sets))
