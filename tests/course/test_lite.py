"""The course in a browser: the site of `make lite`, in Chromium, without any other host."""
from importlib.util import find_spec
from shutil import which

import pytest
from chromium import require

pytestmark = pytest.mark.lite

# Of all modules: compiled kernels, kernels for a GPU and programs have no place in a browser
IMPORT_ALL = """
import importlib, pkgutil, tinyfcn
for module in pkgutil.walk_packages(tinyfcn.__path__, 'tinyfcn.'):
    if not module.name.startswith(('tinyfcn.kernels.cpu', 'tinyfcn.kernels.gpu')):
        if not module.name.endswith('__main__'):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                print(module.name, error)
print('done')
"""


@pytest.fixture(scope='module')
def lite():
    """The module that runs lessons in a browser."""
    require('playwright', find_spec('playwright'))
    require('chromium', which('chromium'))
    import lite_browser
    require('jupyterlite', lite_browser.LITE.exists())
    require('Pyodide', lite_browser.PYODIDE.exists())
    return lite_browser


@pytest.fixture(scope='module')
def address(lite, tmp_path_factory):
    folder = tmp_path_factory.mktemp('lite')
    lite.build_site(folder)
    with lite.serve(folder) as address:
        yield address


def text_of(nb):
    return ''.join(output.get('text', '') for cell in nb['cells']
                   for output in cell.get('outputs', ()))


def test_a_lesson_runs_in_the_browser_and_its_players_are_shown(lite, address):
    with lite.open_page() as page:
        asked = []
        page.on('request', lambda request: asked.append(request.url))
        lesson = lite.run_lesson(page, address, 'l03_im2col')
        assert lesson.errors == []
        code_cells = [cell for cell in lesson.nb['cells'] if cell['cell_type'] == 'code']
        assert all(cell['execution_count'] for cell in code_cells), 'some did not run'
        assert page.evaluate(lite.RUN_CODE, IMPORT_ALL) == 'done\n'
        page.evaluate(lite.SHOW_PLAYER)
        player = page.frame_locator('.jp-Cell.jp-mod-active iframe')
        player.locator('[data-frame="0"]').wait_for()
        elsewhere = [url for url in asked if not url.startswith((address, 'data:', 'blob:'))]
        assert elsewhere == []


def test_a_net_is_trained_in_the_browser(lite, address):
    with lite.open_page() as page:
        lesson = lite.run_lesson(page, address, 'l14_training')
        assert lesson.errors == []
        assert 'mean IU 0.9' in text_of(lesson.nb)
