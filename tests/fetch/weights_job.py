"""A process that runs `tinyfcn weights get small …`, for weights that a local server has.

    python weights_job.py '{"rows": [[file, mirrors, checksum], …], "limit": bytes}' small …

limit: the most bytes that a file may have, as on a full disk; null is none
"""
import json
import resource
import sys

from tinyfcn.cli import main
from tinyfcn.fetch import download
from tinyfcn.fetch.source import Source
from tinyfcn.weights.sources import SOURCES, WeightsSource

if __name__ == '__main__':
    job = json.loads(sys.argv[1])
    download.WAIT = .01
    SOURCES['small'] = WeightsSource([Source(*row) for row in job['rows']], 'squeezenet', 1000,
                                     'free', 'A. Uthor, 2026')
    if job['limit']:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job['limit'], resource.RLIM_INFINITY))
    sys.exit(main(['weights', 'get', *sys.argv[2:]]))
