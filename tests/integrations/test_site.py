"""The documentation site: built without running the lessons, warnings as errors, and read in headless Chromium."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = [
    "cwe2",
    "myst_parser",
    "numpydoc",
    "pydata_sphinx_theme",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery",
]
missing = [package for package in NEEDED if not find_spec(package)]
pytestmark = [
    pytest.mark.integrations,
    pytest.mark.skipif(bool(missing), reason=f"needs {missing}: pip install -e '.[docs]'"),
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; it is built from a copy, so that nothing is written to the repository."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("examples", ".github"):
        ignored = shutil.ignore_patterns("gallery", "generated", "sg_execution_times.rst")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "CHANGES.md", folder)
    settings = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-t", "quick", "examples/site", "build/site"]
    done = subprocess.run(command, cwd=folder, env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "build/site"


@pytest.fixture(scope="module")
def url(site):
    """The address of a server of the site."""
    handler = functools.partial(QuietHandler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def tab(browser):
    """A page of the browser that fails the test if a script of the site fails."""
    tab, errors = browser.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert not errors


def pages_of(site):
    pages = [page for page in sorted(site.rglob("*.html")) if page.parent.name != "_static"]
    return {page: page.read_text() for page in pages if page.name not in ("genindex.html", "search.html")}


def test_every_page_has_one_heading(site):
    for page, html in pages_of(site).items():
        assert len(re.findall(r"<h1[ >]", html)) == 1, page


def test_no_internal_link_is_broken(site):
    pages = pages_of(site)
    ids = {page: set(re.findall(r'\bid="([^"]+)"', html)) for page, html in pages.items()}
    broken = []
    for page, html in pages.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', html):
            path, _, anchor = unquote(link.partition("?")[0]).partition("#")
            if "://" in path or path.startswith(("mailto:", "data:")):
                continue
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target in ids and anchor not in ids[target]):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken


def test_names_in_backticks_lead_to_the_reference(site):
    html = (site / "guide/choose.html").read_text()
    assert 'href="../generated/api/skml.read_label_sets.html#skml.read_label_sets"' in html
    html = (site / "generated/api/skml.KerasMultiLabelClassifier.html").read_text()
    assert 'href="#param-threshold"' in html
    assert 'id="param-threshold"' in html
    assert "for the other modules of skml" not in html


def test_links_to_lessons_lead_to_their_pages(site):
    assert 'href="gallery/06_text_explained.html"' in (site / "index.html").read_text()


def test_search_finds_a_parameter(tab, url):
    tab.goto(f"{url}/search.html?q=threshold")
    tab.wait_for_selector("ul.search li a")
    found = tab.locator("ul.search li a").all_inner_texts()
    assert any("Thresholds and guarantees" in title for title in found)


def test_code_blocks_can_be_copied(tab, url):
    tab.goto(f"{url}/first_minutes.html")
    tab.wait_for_selector("button.copybtn", state="attached")
    assert tab.locator("button.copybtn").count() == tab.locator("div.highlight pre").count()


# What is cut off at the right edge of a page; parts of a table or of a code block, which scroll by themselves, are not.
CUT_OFF = """() => {
  const scrolls = element => element.tagName != "ARTICLE"
    && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  const isCut = element => element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element);
  const parts = [...document.querySelectorAll("article :is(h1, h2, p, li, dt, code, a, img, .pre)")];
  return parts.filter(isCut).map(element => element.textContent.slice(0, 60) || element.src);
}"""


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(tab, url, site, width):
    tab.set_viewport_size({"width": width, "height": 844})
    wide = {}
    for page in pages_of(site):
        tab.goto(f"{url}/{page.relative_to(site).as_posix()}")
        cut_off = tab.evaluate(CUT_OFF)
        if cut_off or not tab.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            wide[page.name] = cut_off
    assert not wide
