"""Texts with label sets: the Common Weakness Enumeration, from the package ``cwe2``.

It lists for each software weakness the security properties that it endangers: Confidentiality, Integrity, Availability,
Access Control and others. These sets are the labels. The text is the name and the description of the weakness, without
the section on consequences from which the labels are taken.
"""

from importlib.resources import as_file, files
from pathlib import Path
from xml.etree import ElementTree

import numpy as np


def read_weaknesses():
    """Return three arrays of dtype object: titles, texts and label sets."""
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
