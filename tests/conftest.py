"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def recorded_data() -> Path:
    """Folder of recorded data; the test skips where it is absent."""
    folder = Path(os.environ.get("PLUMELINE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}: set PLUMELINE_DATA")
    return folder
