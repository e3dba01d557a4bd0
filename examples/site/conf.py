"""Sphinx builds the site from here: ``sphinx-build -W examples/site build/site``, in the root of the repository.

Add ``-t quick`` to build it without running the lessons, in a minute.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SITE = Path(__file__).parent
EXAMPLES = SITE.parent
sys.path[:0] = [str(SITE), str(EXAMPLES)]

import skml

project = "skml"
author = copyright = "the skml developers"
version = release = skml.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "site_extension",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["GALLERY_HEADER.rst", "**sg_execution_times.rst"]
default_role = "literal"  # single backticks are code, as in Markdown
nitpicky = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# The API reference: a page for each public object, from its docstring.
shutil.rmtree(SITE / "generated/api", ignore_errors=True)  # no pages of what is gone
autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # numpydoc says it in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

# Lessons run in a copy, so that what they write does not end up beside them.
LESSONS = EXAMPLES.parent / "build/lessons"
shutil.rmtree(LESSONS, ignore_errors=True)
shutil.copytree(
    EXAMPLES,
    LESSONS,
    ignore=lambda folder, names: [name for name in names if name in ("benchmarks", "site") or name.endswith(".md")],
)
shutil.copy(SITE / "GALLERY_HEADER.rst", LESSONS)
for page in SITE.glob("gallery/*.rst"):
    if page.stem not in ("index", "sg_execution_times") and not (LESSONS / page.with_suffix(".py").name).exists():
        page.unlink()
sphinx_gallery_conf = {
    "examples_dirs": os.path.relpath(LESSONS, SITE),
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"(?!10_)\d\d_|tag_weaknesses",  # lesson 10 limits the memory of its process
    "ignore_pattern": r"(^|[/\\])weaknesses\.py",
    "doc_module": ("skml",),
    "backreferences_dir": "generated/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "plot_gallery": not tags.has("quick"),  # noqa: F821 - Sphinx defines it
}

# Links to other documentation, to those that can be reached now: without the network there are none, and no warnings.
INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "sklearn": "https://scikit-learn.org/stable/",
}


def is_reachable(url):
    """Return whether the inventory of a site can be read."""
    try:
        with urlopen(url + "objects.inv", timeout=5):
            return True
    except OSError:
        return False


with ThreadPoolExecutor() as pool:
    reachable = dict(zip(INVENTORIES, pool.map(is_reachable, INVENTORIES.values()), strict=True))
intersphinx_mapping = {name: (url, None) for name, url in INVENTORIES.items() if reachable[name]}
intersphinx_timeout = 30

html_theme = "pydata_sphinx_theme"
html_title = "skml"
html_static_path = ["_static"]
html_css_files = ["skml.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "skml"},
    "header_links_before_dropdown": 5,
    "navbar_persistent": ["search-button"],
    "show_toc_level": 2,
    "navigation_depth": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"first_minutes": [], "benchmarks": [], "limits": [], "changes": [], "contributing": []}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
