"""Whatever happens while weights are fetched, no wrong or half file gets a final name."""
import pytest
from cache_campaign import RUNS, TROUBLES, campaign


@pytest.mark.crash
def test_a_cache_under_fire(tmp_path):
    kinds, looks = campaign(tmp_path)
    print(f'{RUNS} runs: {dict(kinds)}; {dict(looks)}')
    assert sum(kinds.values()) == RUNS and len(kinds) == len(TROUBLES)
    assert looks['wrong'] == 0 and looks['right'] >= RUNS and looks['looks'] > 10 * RUNS
