"""Headless Chromium for the tests of pages, and what to do where a tool is missing."""
import os
from importlib.util import find_spec
from shutil import which

import pytest


def require(tool, is_installed):
    """Skip the test if a tool is missing; in CI that is a failure."""
    if not is_installed:
        message = f'{tool} is not installed: make test-more installs it'
        assert not os.environ.get('CI'), message
        pytest.skip(message)


# of a module: Playwright can be open only once, and some tests open it themselves
@pytest.fixture(scope='module')
def browser():
    require('playwright', find_spec('playwright'))
    require('chromium', which('chromium'))
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which('chromium'),
                                             args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()
