"""Where the admin API listens."""

from __future__ import annotations

from aiohttp import web

from proxy.config.address import parse_address


class AdminSite:
    """The admin API on one address. address: as bound, empty when it is turned off."""

    def __init__(self, runner: web.AppRunner | None = None, address: str = "") -> None:
        self._runner = runner
        self.address = address

    async def close(self) -> None:
        """Stop listening; requests in progress end first."""
        if self._runner is not None:
            await self._runner.cleanup()


async def open_site(application: web.Application, text: str | None) -> AdminSite:
    """Serve on an address of the configuration; None for nowhere. Raises OSError."""
    if text is None:
        return AdminSite()
    address = parse_address(text, schemes=("http",))
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    site: web.BaseSite
    if address.scheme == "unix":
        site = web.UnixSite(runner, address.host)
    else:
        site = web.TCPSite(runner, address.host, address.port)
    try:
        await site.start()
    except BaseException:
        await runner.cleanup()
        raise
    bound = runner.addresses[0]
    return AdminSite(runner, text if isinstance(bound, str) else f"http://{bound[0]}:{bound[1]}")
