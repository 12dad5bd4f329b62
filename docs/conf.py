"""Sphinx builds the documentation into site/: `make docs`.

The sources are the whole repository, so that the pages of docs/, lessons/ and benchmarks/ link to
each other by the same relative paths here and on the site.
"""
import sys
from pathlib import Path

import tinyfcn

HERE = Path(__file__).parent
sys.path.append(str(HERE))

project = 'tinyfcn'
author = 'the tinyfcn authors'
version = release = tinyfcn.__version__
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'sphinx.ext.viewcode',
              'sphinx_copybutton', 'sphinx_design', 'site_parts', 'explain_pages']

root_doc = 'docs/index'
include_patterns = ['docs/**', 'lessons/l*.ipynb', 'lessons/glossary.md',
                    'lessons/instructors.md', 'benchmarks/*.md', 'CONTRIBUTING.md',
                    'CHANGELOG.md', 'GPU_STATUS.md']
exclude_patterns = ['.*', 'site', 'build', 'runs', 'tests', 'tinyfcn', 'data', 'docs/_*',
                    '**/.ipynb_checkpoints']
templates_path = ['_templates', 'docs/_templates']     # from here; from the repository's root

myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 4
nb_execution_mode = 'off'               # the notebooks are committed with their outputs
nb_code_prompt_show = 'Show the code'
nb_code_prompt_hide = 'Hide the code'
nb_merge_streams = True

autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
autosummary_ignore_module_all = False
python_maximum_signature_line_length = 88
add_module_names = False
copybutton_prompt_text = r'>>> |\.\.\. '
copybutton_prompt_is_regexp = True

html_theme = 'pydata_sphinx_theme'
html_title = 'tinyfcn'
html_static_path = ['_static']
# pages of no section have no list of its pages
html_sidebars = {'docs/faq': [], 'CONTRIBUTING': [], 'CHANGELOG': []}
html_css_files = ['site.css']
html_extra_path = ['_root']             # index.html, which leads to docs/index.html
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False        # it would need a server
html_theme_options = dict(
    show_toc_level=2,
    navbar_align='left', header_links_before_dropdown=6,
    navigation_with_keys=False,
    article_header_end=['run-lesson'],
    footer_start=['copyright'], footer_end=[],
)
