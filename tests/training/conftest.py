"""What several tests of runs share."""
import pytest
from training_samples import draw_nothing


@pytest.fixture
def no_drawing(monkeypatch):
    draw_nothing(monkeypatch)
