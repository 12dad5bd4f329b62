"""`make lessons`: the notebooks are trusted, so JupyterLab shows their players; lesson 00 opens."""
import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from chromium import require

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 120                               # only against a hang
# no window, a free port, nothing that is asked or fetched
CONFIG = """c.ServerApp.open_browser = False
c.ServerApp.port = 0
c.LabApp.news_url = None
"""


@pytest.fixture
def commands():
    """What `make lessons` runs, once everything is installed, with the programs of this Python."""
    require('make', which('make'))
    require('jupyterlab', find_spec('jupyterlab'))
    programs = os.path.relpath(Path(sys.executable).parent, ROOT)
    # these tests may themselves run under make, whose settings the make below would follow
    env = {name: value for name, value in os.environ.items() if not name.startswith('MAKE')}
    return subprocess.run(['make', '--dry-run', '--silent', '--assume-old=.venv/lessons',
                           f'BIN={programs}', 'lessons'],
                          cwd=ROOT, env=env, text=True, capture_output=True, check=True).stdout


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Jupyter of someone who has never used it: no settings, and no notebook is trusted."""
    for name in 'CONFIG', 'DATA', 'RUNTIME':
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(f'JUPYTER_{name}_DIR', str(folder))
    (tmp_path / 'config/jupyter_server_config.py').write_text(CONFIG, 'utf-8')
    return tmp_path


@pytest.mark.lessons
def test_make_lessons_trusts_the_notebooks_and_opens_the_first(commands, folders):
    from nbformat import read
    from nbformat.sign import NotebookNotary
    notary = NotebookNotary(data_dir=str(folders / 'data'))
    notebooks = [read(path, as_version=4) for path in ROOT.glob('lessons/l*.ipynb')]
    assert len(notebooks) == 20 and not any(map(notary.check_signature, notebooks))
    without_server = re.sub(r'\S+/jupyter-lab', 'true', commands)
    subprocess.run(['sh', '-c', without_server], cwd=ROOT, check=True)
    assert all(map(notary.check_signature, notebooks))
    assert commands.split()[-1] == '--LabApp.default_url=/lab/tree/l00_start.ipynb'


def wait_until(condition, process):
    end = time.monotonic() + MAX_SECONDS
    while not condition():
        assert time.monotonic() < end and process.poll() is None, 'JupyterLab does not start'
        time.sleep(.1)


@pytest.mark.browser
def test_a_player_of_lesson_00_is_shown_in_jupyterlab(commands, folders):
    require('playwright', find_spec('playwright'))
    require('chromium', which('chromium'))
    from playwright.sync_api import sync_playwright
    runtime = folders / 'runtime'
    server = subprocess.Popen(['sh', '-c', commands], cwd=ROOT, start_new_session=True,
                              stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: [*runtime.glob('jpserver-*-open.html')], server)
        first_page, = runtime.glob('jpserver-*-open.html')      # what Jupyter opens in a browser
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=which('chromium'),
                                                 args=['--no-sandbox'])
            page = browser.new_page()
            page.set_default_timeout(1000 * MAX_SECONDS)
            page.goto(first_page.as_uri())
            page.wait_for_url('**/lab/tree/l00_start.ipynb')
            player = page.frame_locator('.jp-OutputArea iframe').first
            player.locator('[data-frame="0"]').wait_for()
            browser.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)   # it ends its kernel, too
        server.wait(MAX_SECONDS)
