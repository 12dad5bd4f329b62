"""Chromium for the explainer's tests."""
import os
from importlib.util import find_spec
from shutil import which

import pytest
from explain_page import HELPERS

from tinyfcn.explain.page import WORKER, join_modules


def require(tool, name, command):
    """Skip the test if a tool is missing; in CI, fail."""
    if not tool:
        assert not os.environ.get('CI'), f'{name} is not installed: {command}'
        pytest.skip(f'{name} is not installed: {command}')


@pytest.fixture(scope='session')
def browser():
    require(find_spec('playwright'), 'playwright', 'pip install playwright')
    require(which('chromium'), 'chromium', 'apt-get install chromium')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'),
                                             args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture(scope='session')
def engine(browser):
    """A page that has all modules but those that draw."""
    page = browser.new_page()
    errors = []
    page.on('pageerror', lambda error: errors.append(str(error)))
    modules = [name for name in WORKER if name != 'worker']
    page.add_script_tag(content=join_modules([*modules, 'fraction', 'layers']) + HELPERS)
    assert errors == []
    yield page
    page.close()
