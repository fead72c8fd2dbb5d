"""The chart: linted and rendered by Helm, read by Kubernetes' schemas, run by Sidegate."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from proxy.telemetry.catalogue import FAMILIES
from tests.integration.certificates import Authority
from tests.integration.chart import (
    CASES,
    CHART,
    GOLDEN,
    Manifest,
    golden,
    manifests,
    of_kind,
    values_of,
)
from tests.integration.client import ask, request
from tests.integration.command import command
from tests.integration.origins import OK, RawOrigin, aiohttp_app, answering
from tests.integration.ports import free_port
from tests.integration.process import process

# The three that are supported when this is written.
KUBERNETES: Final = ("1.35", "1.36", "1.37")
# Kinds of others, whose schemas no API server brings.
FOREIGN: Final = ("monitoring.coreos.com/", "gateway.networking.k8s.io/")

each_case = pytest.mark.parametrize("case", CASES)


def pod_of(case: str) -> Manifest:
    """The Pod of the Deployment."""
    spec: Manifest = of_kind("Deployment", values_of(case))["spec"]["template"]["spec"]
    return spec


def containers(pod: Manifest) -> list[Manifest]:
    return [*(pod.get("initContainers") or []), *pod["containers"]]


def sidegate_of(pod: Manifest) -> Manifest:
    [found] = [each for each in containers(pod) if each["name"] == "sidegate"]
    return found


def config_of(values: dict[str, Any]) -> str:
    text: str = of_kind("ConfigMap", values)["data"]["sidegate.yaml"]
    return text


def checked(text: str, folder: Path) -> tuple[int, str]:
    """What `sidegate check` says, with the variables and Secrets that a Pod would have."""
    (folder / "token").write_text("secret-of-the-test", encoding="utf-8")
    for name, path in zip(("tls.crt", "tls.key"), Authority(folder).issue("DNS:a"), strict=True):
        (folder / name).write_bytes(path.read_bytes())
    file = folder / "sidegate.yaml"
    for mount in ("/etc/sidegate-tls", "/etc/sidegate-secrets/app"):
        text = text.replace(mount, str(folder))
    file.write_text(text, encoding="utf-8")
    return command("check", str(file))


class TestLint:
    @each_case
    def test_helm_finds_nothing(self, case: str) -> None:
        report = helm.lint(str(CHART), values_of(case), strict=True)
        assert report["errors"] == []
        assert [each for each in report["messages"] if each["severity"] > 1] == []

    @each_case
    def test_it_is_rendered_as_it_was(self, case: str) -> None:
        """After a change that is meant: python -m tests.integration.chart"""
        assert golden(case) == (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8")

    @each_case
    @pytest.mark.parametrize("version", KUBERNETES)
    def test_kubernetes_takes_it(self, case: str, version: str) -> None:
        for manifest in manifests(values_of(case)):
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                assert manifest["apiVersion"].startswith(FOREIGN)

    @pytest.mark.parametrize(
        "values",
        [
            {"mode": "router"},
            {"replica": 3},
            {"replicas": "many"},
            {"ports": {"http": 0}},
            {"image": {"digest": "latest"}},
            {"service": {"type": "Public"}},
            {"config": 7},
            {"secretEnv": {"A-B": {"name": "a", "key": "b"}}},
            {"sidecar": {"app": {"image": "a", "prot": 1}}},
            {"sidecar": {"app": {"image": "a", "env": {"A": {"b": 1}}}}},
            {"fullnameOverride": "Upper_Case"},
            {"secretFiles": [{"name": "a"}, {"name": "a"}]},
            {"secretEnv": {"A": {"name": "a, optional: true", "key": "b"}}},
            {"env": {"A: b": "c"}},
            {"image": {"repository": "a b: c"}},
            {"podDisruptionBudget": {"maxUnavailable": "half"}},
        ],
        ids=str,
    )
    def test_wrong_values_are_refused(self, values: dict[str, Any]) -> None:
        with pytest.raises(helm.HelmError):
            manifests({**values_of("gateway"), **values})

    @pytest.mark.parametrize(
        ("values", "told"),
        [
            ({"ports": {"http": 8080, "admin": 8080}}, "ports: each has to be another"),
            ({"config": {"admin": {"listen": None}}}, r"config\.admin\.listen: the probes ask"),
            ({"config": {"server": {"listen": "http://0.0.0.0:80"}}}, r"set ports\.http"),
            ({"config": {"server": {"drain": {"timeout": "2m"}}}}, r"set drain\.delay and"),
            ({"autoscaling": {"enabled": True, "cpu": None}}, "set cpu or requestsInFlight"),
            ({"autoscaling": {"enabled": True, "minReplicas": 20}}, "is above maxReplicas"),
            ({"ingress": {"enabled": True}}, r"ingress\.hosts: name those"),
            ({"httpRoute": {"enabled": True}}, r"parentRefs: name the Gateway"),
            (
                {"mode": "sidecar", "metrics": {"monitor": {"enabled": True}}},
                r"metrics\.monitor\.selector: give labels",
            ),
            ({"metrics": {"monitor": {"selector": {"app": "a"}}}}, r"in the Pods of another chart"),
        ],
        ids=str,
    )
    def test_what_would_not_work_is_told(self, values: dict[str, Any], told: str) -> None:
        """Kubernetes would take it, and then no Pod would ever be ready, or nothing get there."""
        config = {**values_of("gateway")["config"], **values.get("config", {})}
        with pytest.raises(helm.HelmError, match=told):
            manifests({**values_of("gateway"), **values, "config": config})

    def test_a_gateway_needs_somebody_to_stand_before(self) -> None:
        with pytest.raises(helm.HelmError, match=r"config\.upstreams: name the services"):
            manifests({})


VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
TEMPLATES: Final = "".join(
    path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").rglob("*.*"))
)


def leaves(values: dict[str, Any], *path: str) -> Iterator[str]:
    """The values that can be set, `metrics.monitor.enabled`; texts and lists as a whole."""
    for name, value in values.items():
        if isinstance(value, dict) and value and "labels" not in (name, *path):
            yield from leaves(value, *path, name)
        else:
            yield ".".join((*path, name))


# Those that go into manifests as they are.
WHOLE: Final = ("podSecurityContext", "securityContext", "resources")


@pytest.mark.parametrize("value", list(leaves({k: v for k, v in VALUES.items() if k not in WHOLE})))
def test_no_value_does_nothing(value: str) -> None:
    """Some template looks at it, under its whole name, or within a `with` of what it is part of."""
    parts = value.split(".")
    whole = re.search(rf"Values\.{re.escape(value)}\b", TEMPLATES)
    within = any(
        re.search(rf"Values\.{re.escape('.'.join(parts[:count]))}(?![.\w])", TEMPLATES)
        and re.search(rf"[ ($]\.{re.escape('.'.join(parts[count:]))}\b", TEMPLATES)
        for count in range(1, len(parts))
    )
    assert whole or within


class TestConfiguration:
    @each_case
    def test_it_is_valid(self, case: str, tmp_path: Path) -> None:
        code, out = checked(config_of(values_of(case)), tmp_path)
        assert code == 0, out

    def test_a_mistake_in_values_is_found(self, tmp_path: Path) -> None:
        values = values_of("gateway")
        values["config"]["polices"] = {}
        code, out = checked(config_of(values), tmp_path)
        assert code == 1
        assert 'did you mean "policies"?' in out

    def test_values_stand_beside_what_the_chart_needs(self) -> None:
        values = values_of("gateway")
        values["config"]["server"] = {"workers": 2}
        server = yaml.safe_load(config_of(values))["server"]
        assert server["drain"] == {"delay": "5s", "timeout": "25s"}
        assert server["workers"] == 2
        assert server["listen"] == ["http://0.0.0.0:8080"]

    def test_a_text_is_taken_as_it_is(self) -> None:
        text = values_of("gateway-text")["config"]
        assert config_of(values_of("gateway-text")) == text
        assert "!file" in text

    def test_rules_are_in_groups(self) -> None:
        rule = of_kind("PrometheusRule", values_of("gateway-full"))
        names = {one.get("alert") or one["record"] for group in rule["spec"]["groups"]
                 for one in group["rules"]}  # fmt: skip
        assert len(names) > 10

    def test_the_autoscaler_counts_what_there_is_to_count(self) -> None:
        scaler = of_kind("HorizontalPodAutoscaler", values_of("gateway-full"))
        [metric] = [each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"]
                    if each["type"] == "Pods"]  # fmt: skip
        assert metric in {family.name for family in FAMILIES}


def test_sidecars_in_the_pods_of_others_are_scraped_by_their_labels() -> None:
    monitor = {"enabled": True, "selector": {"app": "web"}}
    values = {"mode": "sidecar", "metrics": {"monitor": monitor}}
    assert of_kind("PodMonitor", values)["spec"]["selector"] == {"matchLabels": {"app": "web"}}


def picked(selector: dict[str, Any], labels: dict[str, Any]) -> bool:
    return bool(selector["matchLabels"].items() <= labels.items())


def test_helm_s_own_test_reaches_the_admin_port_and_is_no_gateway() -> None:
    values = values_of("gateway-full")
    policy = of_kind("NetworkPolicy", values)["spec"]
    labels = of_kind("Pod", values)["metadata"]["labels"]
    assert not picked(policy["podSelector"], labels)
    assert not picked(of_kind("PodDisruptionBudget", values)["spec"]["selector"], labels)
    assert not of_kind("Service", values)["spec"]["selector"].items() <= labels.items()
    [admin] = [rule for rule in policy["ingress"] if rule["ports"][0]["port"] == "admin"]
    assert any(picked(peer["podSelector"], labels) for peer in admin["from"]
               if "podSelector" in peer)  # fmt: skip


class TestPods:
    @pytest.mark.parametrize("case", [case for case in CASES if case != "sidecar-templates"])
    def test_the_restricted_standard_is_kept(self, case: str) -> None:
        """By Sidegate's containers; those of others are theirs."""
        pod = pod_of(case)
        container = sidegate_of(pod)
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsNonRoot"] is True
        assert context["readOnlyRootFilesystem"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert all(mount["readOnly"] for mount in container["volumeMounts"])
        assert not any("subPath" in mount for mount in container["volumeMounts"]), (
            "the kubelet never updates those"
        )

    def test_a_native_sidecar_comes_first_and_goes_last(self) -> None:
        pod = pod_of("sidecar")
        [container] = pod["initContainers"]
        assert container["restartPolicy"] == "Always"
        assert container["startupProbe"]["httpGet"]["path"] == "/readyz"
        assert [each["name"] for each in pod["containers"]] == ["app"]
        config = yaml.safe_load(config_of(values_of("sidecar")))
        assert config["server"]["drain"]["delay"] == "0s", "it is told to end after the rest"
        assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5

    def test_a_classic_one_waits_itself(self) -> None:
        pod = pod_of("sidecar-classic")
        assert "initContainers" not in pod
        assert [each["name"] for each in pod["containers"]] == ["app", "sidegate"]
        assert "restartPolicy" not in sidegate_of(pod)
        config = yaml.safe_load(config_of(values_of("sidecar-classic")))
        assert config["server"]["drain"]["delay"] == "5s"
        assert config["upstreams"] == {"app": "http://127.0.0.1:3000"}

    @pytest.mark.parametrize("case", ["gateway", "gateway-full", "sidecar", "sidecar-classic"])
    def test_there_is_time_to_drain(self, case: str) -> None:
        config = yaml.safe_load(config_of(values_of(case)))
        drain = config["server"]["drain"]
        seconds = sum(int(drain[key].removesuffix("s")) for key in ("delay", "timeout"))
        assert pod_of(case)["terminationGracePeriodSeconds"] >= seconds + 5

    @pytest.mark.parametrize("case", ["gateway", "gateway-full", "sidecar", "sidecar-classic"])
    def test_ports_and_probes_meet(self, case: str) -> None:
        values = values_of(case)
        container = sidegate_of(pod_of(case))
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in of_kind("Service", values)["spec"]["ports"]:
            assert port["targetPort"] == ports[port["name"]], "by number, which finds sidecars too"
        config = yaml.safe_load(config_of(values))
        listening = [*config["server"]["listen"], config["admin"]["listen"]]
        assert {int(address.rpartition(":")[2]) for address in listening} == set(ports.values())
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] == "admin"
        labels = of_kind("Deployment", values)["spec"]["template"]["metadata"]["labels"]
        selector = of_kind("Service", values)["spec"]["selector"]
        assert selector.items() <= labels.items()


PARENT: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: mine}
spec:
  selector: {matchLabels: {app: mine}}
  template:
    metadata: {labels: {app: mine}}
    spec:
      initContainers:
        {{- include "sidegate.sidecar.initContainers" .Subcharts.sidegate | nindent 8 }}
      containers:
        - name: app
          image: mine
        {{- include "sidegate.sidecar.containers" .Subcharts.sidegate | nindent 8 }}
      volumes:
        {{- include "sidegate.sidecar.volumes" .Subcharts.sidegate | nindent 8 }}
"""


@pytest.mark.parametrize("native", [True, False])
def test_other_charts_include_the_templates(native: bool, tmp_path: Path) -> None:
    chart = tmp_path / "mine"
    (chart / "templates").mkdir(parents=True)
    shutil.copytree(CHART, chart / "charts" / "sidegate")
    dependency = {"name": "sidegate", "version": "0.1.0", "repository": ""}
    facts = {"apiVersion": "v2", "name": "mine", "version": "1.0.0", "dependencies": [dependency]}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(facts))
    (chart / "templates" / "deployment.yaml").write_text(PARENT)
    values = {"sidegate": {"mode": "sidecar", "sidecar": {"native": native}}}
    deployment = of_kind("Deployment", values, chart)
    for version in KUBERNETES:
        kubernetes_validate.validate(deployment, version, strict=True)
    pod = deployment["spec"]["template"]["spec"]
    assert sidegate_of(pod).get("restartPolicy") == ("Always" if native else None)
    mounted = {volume["configMap"]["name"] for volume in pod["volumes"]}
    assert mounted == {of_kind("ConfigMap", values, chart)["metadata"]["name"]}


async def test_the_rendered_configuration_serves_and_changes_like_a_config_map(
    tmp_path: Path,
) -> None:
    """As the kubelet has it: a folder whose symlink is swapped."""

    def written(folder: Path, values: dict[str, Any]) -> None:
        folder.mkdir()
        (folder / "sidegate.yaml").write_text(config_of(values), encoding="utf-8")

    async with aiohttp_app() as first, RawOrigin(answering(OK)) as second:
        values: dict[str, Any] = {
            "ports": {"http": free_port(), "admin": free_port()},
            "drain": {"delay": 0, "timeout": 5},
            "config": {"upstreams": {"a": first, "b": second.url}},
        }
        rest: dict[str, Any] = {"name": "rest", "upstream": "a"}
        some = {"name": "some", "match": {"path": "/some/**"}, "upstream": "b"}
        values["config"]["routes"] = [rest, some]
        written(tmp_path / "..1", values)
        (tmp_path / "..data").symlink_to("..1")
        (tmp_path / "sidegate.yaml").symlink_to("..data/sidegate.yaml")
        with process(None, tmp_path) as sidegate:
            url = f"http://127.0.0.1:{values['ports']['http']}"
            admin = f"http://127.0.0.1:{values['ports']['admin']}"
            assert (await ask(admin, request("GET", "/readyz"))).status == 200
            assert (await ask(url, request("GET", "/echo"))).json["target"] == "/echo"
            assert (await ask(url, request("GET", "/some/thing"))).body == b"ok"
            rest["policies"] = {"respond": {"status": 503}}
            written(tmp_path / "..2", values)
            (tmp_path / "..new").symlink_to("..2")
            (tmp_path / "..new").rename(tmp_path / "..data")
            await asyncio.to_thread(sidegate.lines, "configuration reloaded")
            assert (await ask(url, request("GET", "/echo"))).status == 503
            assert (await ask(url, request("GET", "/some/thing"))).status == 200
