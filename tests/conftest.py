"""What every test may rely on: no screen, the same random numbers, and the data folder or a skip."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

SEED = 20260101

# By environment variable rather than matplotlib.use: it reaches subprocesses and imports nothing.
os.environ["MPLBACKEND"] = "Agg"

# A shell that starts a run in the background has it ignore Ctrl-C; the tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _unfinished(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep unfinished solves of tests away from those of the user."""
    os.environ["TITER_UNFINISHED"] = str(tmp_path_factory.mktemp("unfinished"))


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Seed the global generators before each test, so that no test depends on the order they run in."""
    random.seed(SEED)
    np.random.seed(SEED)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return the generator that tests draw from."""
    return np.random.default_rng(SEED)


@pytest.fixture
def data() -> Path:
    """Return the folder of measured and published data, or skip the test where there is none."""
    given = os.environ.get("TITER_DATA")
    if not given:
        pytest.skip("TITER_DATA is not set: it names the folder of measured and published data")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"TITER_DATA names no folder: {given}")
    return folder
