"""What the site does beyond Sphinx: links from names to the API, groups of parameters, pictures of the displays."""

import inspect
import os
import re
import shutil
import tempfile
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

import skml
import skml.inspection
import skml.metrics
import skml.model_selection
import skml.onnx

MODULES = (skml, skml.inspection, skml.metrics, skml.model_selection, skml.onnx)
PUBLIC = {name: f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}

# The parameters of KerasMultiLabelClassifier by task; a test compares them with its signature.
PARAMETERS = {
    "The network": ["model", "hidden_layer_sizes", "activation", "dropout", "input_dropout", "n_members"],
    "The columns of X": ["scale", "inputs"],
    "Labels": ["classes", "soft_labels", "hierarchy", "class_weight"],
    "Decisions": ["threshold", "tuned_rules", "min_labels", "max_labels", "calibrate"],
    "Training": ["loss", "optimizer", "learning_rate", "metrics", "epochs", "batch_size", "callbacks", "jit_compile"],
    "When to stop": ["early_stopping", "validation_fraction", "n_iter_no_change"],
    "Several fits": ["warm_start", "random_state", "verbose"],
}

# A name of the API, or a call of it, in backticks.
REFERENCE = re.compile(r"(?:skml\.(?:\w+\.)?)?(\w+)(?:\(.*\))?", re.DOTALL)
LESSON = re.compile(r"\]\((?:\.\./)+(\d\d_\w+|tag_weaknesses)\.py\)")
LESSONS = re.compile(r"\]\((?:\.\./)+README\.md#lessons\)")


def methods_of(cls):
    """Return the public methods of an estimator that its page shows."""
    public = [name for name in dir(cls) if not name.startswith("_") and not isinstance(getattr(cls, name), property)]
    return [name for name in public if is_shown(getattr(cls, name))]


def is_shown(member):
    """Return whether a member of a class has a docstring of skml that is for users."""
    doc = inspect.getdoc(member) or ""
    is_ours = getattr(inspect.unwrap(member), "__module__", "skml").startswith("skml")
    return bool(doc) and is_ours and not doc.rstrip().endswith("for the other modules of skml.")


class LinkNames(SphinxTransform):
    """Turn names of public objects in backticks into links to their pages."""

    default_priority = 400

    def apply(self, **kwargs):
        """Apply the transform to a document."""
        methods = {name: f"{PUBLIC[CLASS]}.{name}" for name in methods_of(getattr(skml, CLASS))}
        targets = methods | PUBLIC if not self.env.docname.startswith("generated/") else PUBLIC
        for literal in list(self.document.findall(nodes.literal)):
            match = REFERENCE.fullmatch(literal.astext())
            target = targets.get(match[1]) if match else None
            inside_link = isinstance(literal.parent, (nodes.reference, addnodes.pending_xref, nodes.title))
            if target and not inside_link and not self.env.docname.endswith(target):
                options = {"refdomain": "py", "reftype": "obj", "reftarget": target, "refdoc": self.env.docname}
                reference = addnodes.pending_xref("", refexplicit=True, refwarn=False, **options)
                literal.replace_self(reference)
                reference += literal


CLASS = "KerasMultiLabelClassifier"


class AnchorParameters(SphinxTransform):
    """Give the parameters of a class on its page an anchor, as in ``#param-threshold``."""

    default_priority = 401

    def apply(self, **kwargs):
        """Apply the transform to a document."""
        if self.env.docname != f"generated/api/skml.{CLASS}":
            return
        content = next(self.document.findall(addnodes.desc_content))
        for fields in content.children:
            if isinstance(fields, nodes.field_list):
                for term in fields.findall(nodes.term):
                    names = re.split(r"[,:]", term.astext())[0].strip()
                    if re.fullmatch(r"\w+", names):
                        term["ids"].append(f"param-{names.replace('_', '-')}")


def list_parameters(app, what, name, obj, options, lines):
    """Insert the table of parameters by task before the section Parameters."""
    if name != f"skml.{CLASS}" or "Parameters" not in lines:
        return
    rows = []
    for task, parameters in PARAMETERS.items():
        links = ", ".join(f"`{p} <#param-{p.replace('_', '-')}>`__" for p in parameters)
        rows += [f"   * - {task}", f"     - {links}"]
    at = lines.index("Parameters")
    lines[at:at] = [".. list-table:: The parameters by task", "   :widths: 20 80", "", *rows, ""]


def skip_member(app, what, name, obj, skip, options):
    """Skip members that are not for users, and attributes, which the docstring of the class describes."""
    return skip or (what == "class" and (isinstance(obj, property) or not is_shown(obj))) or None


def link_lessons(app, docname, source):
    """Let links to lessons, which lead to scripts on GitHub, lead to their pages."""
    up = "../" * docname.count("/")
    source[0] = LESSON.sub(rf"]({up}gallery/\1.rst)", source[0])
    source[0] = LESSONS.sub(f"]({up}gallery/index.rst)", source[0])


def draw(app):
    """Draw the pictures of the displays, if they are not there or older than their script."""
    from displays import __file__ as script
    from displays import draw_displays

    folder = Path(app.srcdir, "generated/displays")
    if not folder.exists() or folder.stat().st_mtime < os.stat(script).st_mtime:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as drawn:
            draw_displays(Path(drawn))
            shutil.copytree(drawn, folder)


def setup(app):
    app.add_transform(LinkNames)
    app.add_transform(AnchorParameters)
    app.connect("autodoc-process-docstring", list_parameters, priority=100)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("source-read", link_lessons)
    app.connect("builder-inited", draw, priority=100)
    return {"parallel_read_safe": True}
