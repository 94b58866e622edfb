"""Of the integration tests."""

from fixtures import agent, broker, cluster, private, scoop, start, started  # noqa: F401
from programs import cached

# In a build for valgrind only that; it takes minutes.
collect_ignore = [] if cached("VALGRIND") == "ON" else ["test_valgrind.py"]
