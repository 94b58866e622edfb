"""Of the fault tests: they have what the integration tests have."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from fixtures import private, scoop, start, started  # noqa: E402, F401
