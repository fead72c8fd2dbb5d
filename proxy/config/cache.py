"""What the user writes about the memory that all cache policies share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from proxy.config.settings import Settings
from proxy.config.store import RedisOptions
from proxy.config.units import Duration, Size


class CacheStore(RedisOptions):
    """A second store in Redis, which all instances share. A text is its URL."""

    object: Size = Field(default=8 * 1024 * 1024, ge=1024)
    """Most bytes of one response that is kept there."""
    compress: Size = Field(default=1024, ge=64)
    """A text of at least so many bytes is compressed there."""
    deadline: Annotated[Duration, Field(ge=0.001, le=10.0)] = 0.05
    """How long a request waits for an answer; then the service is asked instead."""
    prefix: str = Field(default="sidegate", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """What the names of all keys begin with. Instances of one prefix share what they store, and
    purge together."""


class CacheMemory(Settings):
    """The memory of stored responses, shared by the `cache` policies of all routes."""

    memory: Size = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    """Most bytes of all stored responses together. Each worker has a memory of its own, of this
    size."""
    object: Size = Field(default=8 * 1024 * 1024, ge=1024)
    """Most bytes of one response; a larger one is passed on and not stored."""
    store: CacheStore = CacheStore()
    """A second store in Redis behind that memory; none unless given."""
