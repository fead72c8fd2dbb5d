"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes one example slow and the next one quick, which proves nothing.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
