"""A preparation within its bound on memory, whatever the process of the tests holds already."""

import pytest

from socialjax import memory


@pytest.fixture(autouse=True)
def others_memory_does_not_count(monkeypatch):
    """Hundreds of tests before may have left gigabytes. The bound itself is held by tests in processes of their own."""
    resident, before = memory.resident_bytes, memory.resident_bytes()
    monkeypatch.setattr(memory, "resident_bytes", lambda: max(resident() - before, 0))
