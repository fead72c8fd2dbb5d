"""Response fields that tell browsers to be careful, and none that tell what runs here."""

from __future__ import annotations

from typing import Final, Literal

from proxy.contract import PolicySpec, Request, Response, Toolkit
from proxy.http1.headers import Defaults, encode, key_of
from proxy.policies.security_headers.options import Options

_HSTS: Final = "Strict-Transport-Security"

# What breaks no ordinary application. HSTS leaves out includeSubDomains, since the proxy of
# one service can't speak for its sibling hosts; COOP, COEP, CSP and no-store all break some.
_SAFE: Final = {
    _HSTS: "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Permitted-Cross-Domain-Policies": "none",
}
_API: Final = {
    _HSTS: "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Cache-Control": "no-store",
}
_DENIED_FEATURES: Final = (
    "accelerometer", "autoplay", "camera", "cross-origin-isolated", "display-capture",
    "encrypted-media", "fullscreen", "geolocation", "gyroscope", "keyboard-map",
    "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
    "publickey-credentials-get", "screen-wake-lock", "usb", "web-share",
    "xr-spatial-tracking", "clipboard-read", "clipboard-write", "gamepad", "hid",
    "idle-detection", "serial", "unload",
)  # fmt: skip
# The OWASP Secure Headers set, without Clear-Site-Data, which is for logging out.
_STRICT: Final = {
    _HSTS: "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Content-Security-Policy": (
        "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; "
        "frame-ancestors 'none'; upgrade-insecure-requests"
    ),
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _DENIED_FEATURES),
    "Cache-Control": "no-store, max-age=0",
    "X-DNS-Prefetch-Control": "off",
}
_PRESETS: Final = {"safe": _SAFE, "api": _API, "strict": _STRICT}

# Fields that only name products, versions and machines. Those that clients work by, such as
# SourceMap or X-Nextjs-Redirect, are left to `strip`.
_REVEALING: Final = frozenset({
    "$wsep", "host-header", "k-proxy-request", "liferay-portal", "oraclecommercecloud-version",
    "pega-host", "powered-by", "product", "server", "x-aspnet-version", "x-aspnetmvc-version",
    "x-backend-server", "x-beserver", "x-calculatedbetarget", "x-cf-powered-by", "x-cms",
    "x-cocoon-version", "x-content-encoded-by", "x-diaginfo", "x-envoy-attempt-count",
    "x-envoy-external-address", "x-envoy-internal", "x-envoy-original-dst-host",
    "x-envoy-upstream-service-time", "x-feserver", "x-framework", "x-generated-by",
    "x-generator", "x-jitsi-release", "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid", "x-mod-pagespeed", "x-owa-version", "x-page-speed",
    "x-php-version", "x-powered-by", "x-powered-by-plesk", "x-powered-cms", "x-redirect-by",
    "x-server-powered-by", "x-sourcefiles", "x-turbo-charged-by", "x-umbraco-version",
    "x-varnish-backend", "x-varnish-server",
})  # fmt: skip


class SecurityHeaders:
    """Everything is laid out as bytes beforehand; a response costs one look-up a field."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        values: dict[str, tuple[str, str | Literal[False]]] = {
            name.lower(): (name, value) for name, value in _PRESETS[options.preset].items()
        }
        values |= {name.lower(): (name, value) for name, value in options.set.items()}
        stripped = {*_REVEALING, *(name.lower() for name in options.strip)}
        stripped -= values.keys()
        if options.override:
            stripped |= {key for key, (_, value) in values.items() if value is not False}
        self._strip = frozenset(stripped)
        https = [
            (name.encode("ascii"), encode(value))
            for name, value in values.values()
            if value is not False
        ]
        self._https = Defaults(https)
        self._http = Defaults(field for field in https if key_of(field[0]) != _HSTS.lower())

    def edit_response(self, request: Request, response: Response) -> None:
        """Strip, then add what is missing."""
        headers = response.headers
        headers.drop(self._strip)
        headers.fill(self._https if request.scheme == "https" else self._http)


POLICY = PolicySpec(
    "security_headers", Options, SecurityHeaders, after={"request_id"}, default=True
)
