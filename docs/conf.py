"""Configuration of Sphinx. The build needs no network."""

import warnings

import sksparse_rec

project = "sksparse_rec"
author = "The sksparse_rec developers"
project_copyright = "2026, The sksparse_rec developers"
version = release = sksparse_rec.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**.ipynb", "**.ipynb_checkpoints"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "code"

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "doc_module": "sksparse_rec",
    "backreferences_dir": None,
    "download_all_examples": False,
    "remove_config_comments": True,
    "plot_gallery": "True",
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = f"sksparse_rec {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without neighbours in their section need no left sidebar.
html_sidebars = {
    "index": [],
    "changelog": [],
    "contributing": [],
    "dependencies": [],
    "model_format": [],
    "benchmarks": [],
}

# The gallery draws without a display; the warning says nothing to readers.
warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*")


def skip_inherited_from_scikit_learn(app, what, name, obj, skip, options):
    """Leave out what every estimator has; ``api/index`` lists it."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.split(".")[0] == "sklearn" else None


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited_from_scikit_learn)
