"""client_certificate: who is admitted, and what the client is called from there on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxy.contract import CERTIFICATE, ClientCertificate
from proxy.policies.client_certificate import Certificates, Options
from tests.unit.policies.world import World, a_request, refusal

SHOP = ClientCertificate(
    "CN=web,O=Shop", "web", ("dns:web.shop.test", "uri:spiffe://a/shop/web"), "01", "ab12", b""
)


def policy(world: World, **options: object) -> Certificates:
    return Certificates(Options.model_validate(options), world.toolkit)


@pytest.mark.parametrize(
    ("allow", "admitted"),
    [
        ([], True),
        ("subject:CN=web,O=Shop", True),
        ("cn:web", True),
        ("dns:*.shop.test", True),
        ("uri:spiffe://a/shop/*", True),
        ("fingerprint:ab12", True),
        (["cn:other", "dns:web.shop.test"], True),
        ("cn:we", False),
        ("cn:web.shop.test", False),
        ("dns:shop.test", False),
        ("uri:spiffe://a/shop", False),
        ("email:*", False),
    ],
)
def test_who_is_admitted(world: World, allow: object, admitted: bool) -> None:
    request = a_request()
    request.state[CERTIFICATE] = SHOP
    refused = refusal(policy(world, allow=allow), request)
    assert (refused is None) is admitted
    if refused is not None:
        assert (refused.status, refused.code) == (403, "certificate_refused")


def test_without_a_certificate_nobody_is(world: World) -> None:
    refused = refusal(policy(world), a_request())
    assert refused is not None
    assert (refused.status, refused.code) == (403, "certificate_required")


@pytest.mark.parametrize(
    ("identity", "name"),
    [("subject", "CN=web,O=Shop"), ("uri", "spiffe://a/shop/web"), ("email", "")],
)
def test_what_the_client_is_called(world: World, identity: str, name: str) -> None:
    request = a_request()
    policy(world, identity=identity).edit_request(request)
    assert "identity" not in request.state
    request.state[CERTIFICATE] = SHOP
    policy(world, identity=identity).edit_request(request)
    assert request.state["identity"] == name


@pytest.mark.parametrize("allow", ["web", "name:web", "cn:", ":web"])
def test_a_pattern_says_of_what_it_is(allow: str) -> None:
    with pytest.raises(ValidationError, match="say of what it is"):
        Options.model_validate({"allow": allow})
