"""nginx with one worker."""

from __future__ import annotations

import getpass
import os
from typing import Final

from tests.benchmarks.answer import SECURITY_HEADERS
from tests.benchmarks.peers.peer import ALL, CONNECTIONS, Launch, Place, find_program, version_of

CONFIGURATION: Final = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server_tokens off;
    keepalive_requests 1000000000;
    log_format lines escape=json '{{"timestamp":"$time_iso8601","request_id":"$request_id",'
        '"client_ip":"$remote_addr","method":"$request_method","host":"$host","path":"$uri",'
        '"query":"$args","protocol":"$server_protocol","upstream":"$upstream_addr",'
        '"status":$status,"bytes_in":$request_length,"bytes_out":$bytes_sent,'
        '"connect":"$upstream_connect_time","upstream_time":"$upstream_header_time",'
        '"total":$request_time,"user_agent":"$http_user_agent"}}';
    access_log {log} lines buffer=32k flush=1s;
    {zone}
    limit_req_zone $binary_remote_addr zone=clients:10m rate={rate};
    limit_req_status 429;
    limit_req_log_level info;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        add_header X-Request-ID $request_id always;
        add_header Via "1.1 nginx" always;
        {headers}
        error_page 429 @refused;
        location / {{
            limit_req zone=clients {burst} nodelay;
            {cache}
            proxy_pass http://origin;
            proxy_max_temp_file_size 0;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header Via "1.1 nginx";
            proxy_hide_header X-Powered-By;
        }}
        location @refused {{
            default_type application/json;
            add_header X-Request-ID $request_id always;
            add_header Via "1.1 nginx" always;
            add_header Retry-After {period} always;
            {headers}
            return 429 '{refusal}';
        }}
    }}
}}
"""


REFUSAL: Final = (
    '{"error":"rate_limited","detail":"Too many requests.","status":429,'
    '"timestamp":"$time_iso8601","request_id":"$request_id"}'
)


class Nginx:
    """Debian's nginx, without its own configuration."""

    name = "nginx"
    note = "no trace context, no RateLimit fields, no counts by status; a fixed Retry-After"
    policies = True
    traces = False
    aside = False
    duties = ALL

    def program(self) -> str | None:
        """Debian's package `nginx`."""
        return find_program("nginx")

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.program() or "nginx", "-v")

    def launch(self, place: Place) -> Launch:
        """In the foreground, writing nothing outside of its folder."""
        # Started by root it would run its worker as nobody, who can't enter the folder.
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        headers = "\n        ".join(
            f'add_header {name} "{value}" always;' for name, value in SECURITY_HEADERS.items()
        )
        refuses, caches = place.duty == "refuse", place.duty == "cache"
        text = CONFIGURATION.format(
            user=user, folder=place.folder, log=place.log, port=place.port, origin=place.origin,
            headers=headers, connections=CONNECTIONS,
            rate="1r/m" if refuses else "1000000r/s", burst="" if refuses else "burst=100000",
            period=60 if refuses else 1, refusal=REFUSAL,
            zone=f"proxy_cache_path {place.folder}/cache keys_zone=all:16m;" if caches else "",
            cache="proxy_cache all;" if caches else "",
        )  # fmt: skip
        path = place.write("nginx.conf", text)
        return Launch((self.program() or "nginx", "-p", str(place.folder), "-c", path))
