"""What the user writes about the memory that all cache policies share."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from proxy.config.listing import ONE_OR_MANY
from proxy.config.settings import Settings
from proxy.config.store import RedisOptions
from proxy.config.units import Duration, Share, Size
from proxy.http1.field import check_name


def _page(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise ValueError(f"{url!r} is no whole URL; write https://HOST/PATH, as clients ask for it")
    if parts.fragment or not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(f"{url!r} can't be asked for; write it with escapes and without a `#`")
    return url


_Pages = Annotated[tuple[Annotated[str, AfterValidator(_page)], ...], ONE_OR_MANY]


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


class Warming(Settings):
    """Pages that are fetched in the background before anybody asks for them.

    Each takes its route, with all policies, as if a client asked for it; so limits and access
    lists apply. Each worker fetches for its own memory, unless `store` has it already.
    """

    urls: _Pages = ()
    """Whole URLs, as clients ask for them: `https://shop.example.com/products`. Where there are
    `server.trusted_proxies`, it is as if one of them asked and said `X-Forwarded-Proto` and
    `X-Forwarded-Port` of the URL."""
    sitemap: _Pages = ()
    """URLs of sitemaps, or of lists of sitemaps, whose pages are fetched as well."""
    on_start: bool = True
    """Whether that is done at the start, and after a reload that changes this section."""
    every: Annotated[Duration, Field(ge=1)] | None = None
    """How often it is done again. What won't have run out by the next time stays as it is."""
    headers: dict[Annotated[str, AfterValidator(check_name)], str] = {}
    """Fields to send, where responses vary by them: `{Accept-Encoding: "gzip, br"}`."""
    concurrency: int = Field(default=4, ge=1, le=1000)
    """Most fetches at once that go to one upstream."""
    share: Annotated[Share, Field(gt=0, le=1)] = 0.1
    """The most of an upstream's pools that they take at once: a share of `pool.size` of all its
    endpoints, though one connection in any case."""
    most: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most URLs of one round; what sitemaps list beyond it is left out."""

    @property
    def wanted(self) -> bool:
        """There is something to do."""
        return bool(self.urls or self.sitemap)

    @model_validator(mode="after")
    def _sometime(self) -> Warming:
        if self.wanted and not self.on_start and self.every is None:
            raise ValueError("it would never be done; set `on_start: true`, or `every`")
        return self


class CacheMemory(Settings):
    """The memory of stored responses, shared by the `cache` policies of all routes."""

    memory: Size = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    """Most bytes of all stored responses together. Each worker has a memory of its own, of this
    size."""
    object: Size = Field(default=8 * 1024 * 1024, ge=1024)
    """Most bytes of one response; a larger one is passed on and not stored."""
    store: CacheStore = CacheStore()
    """A second store in Redis behind that memory; none unless given."""
    warm: Warming = Warming()
    """Pages that are fetched in the background before anybody asks for them."""

    @model_validator(mode="before")
    @classmethod
    def _no_switch(cls, value: Any) -> Any:
        if isinstance(value, bool | str | int | float):
            raise ValueError(
                "this is the memory of all stored responses, as in `cache: {memory: 64MiB}`; "
                "caching is turned on by `policies: {cache: {}}`"
            )
        return value
