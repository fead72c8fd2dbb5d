"""What the command line prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from proxy.catalog import Catalog
from proxy.cli import main
from proxy.config.load import Document
from proxy.config.problems import ConfigError
from proxy.runtime.plan import make_plan

GOOD = "upstreams: {app: 'http://127.0.0.1:3000'}\n"
BAD = "upstreams: {app: nope}\npolices: {}\n"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sidegate(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command with an environment of its own."""

    def run(*arguments: str, **environ: str) -> Outcome:
        try:
            code = main(arguments, environ)
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 99
        return Outcome(code, *capsys.readouterr())

    return run


class TestHelp:
    """The help teaches: each command has a sentence, and there are examples to copy."""

    def test_no_command_at_all(self, sidegate: Command) -> None:
        code, _, err = sidegate()
        assert code == 2
        for part in ("run", "check", "explain", "schema", "policies", "begin here:"):
            assert part in err

    @pytest.mark.parametrize("command", ["run", "check", "explain", "schema", "policies"])
    def test_each_command(self, sidegate: Command, command: str) -> None:
        code, out, _ = sidegate(command, "--help")
        assert code == 0
        assert len(out.splitlines()) > 5

    def test_version(self, sidegate: Command) -> None:
        code, out, _ = sidegate("--version")
        assert (code, out.split()[0]) == (0, "sidegate")

    @pytest.mark.parametrize("arguments", [("chek",), ("check", "--nope"), ("explain", "x")])
    def test_a_wrong_command(self, sidegate: Command, arguments: tuple[str, ...]) -> None:
        code, out, err = sidegate(*arguments)
        assert (code, out) == (2, "")
        assert "sidegate" in err

    @pytest.mark.parametrize(
        ("command", "says"),
        [
            ("chek", 'unknown command "chek"; did you mean "check"?'),
            ("Explain", 'unknown command "Explain"; did you mean "explain"?'),
            ("zz", 'unknown command "zz"; known here: check, explain, health, init, '),
            ("help", "'help' is no command; write sidegate --help"),
            ("a.yaml", "'a.yaml' is no command; write sidegate run a.yaml"),
            ("3000", "'3000' is no command; write sidegate run --upstream 3000"),
        ],
    )
    def test_what_was_meant(self, folder: Path, sidegate: Command, command: str, says: str) -> None:
        (folder / "a.yaml").write_text(GOOD)
        code, out, err = sidegate(command, "--help")
        assert (code, out) == (2, "")
        assert err.startswith(f"sidegate: {says}")

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (
                ("init", "--frce"),
                'unknown option "--frce" of sidegate init; did you mean "--force"?',
            ),
            (
                ("run", "--port=80"),
                '"--port" of sidegate run; known here: --help, --listen, --upstream',
            ),
            (("-v",), 'unknown option "-v" of sidegate; known here: --help, --version'),
            (("run", "a.yaml", "b.yaml"), "'b.yaml' is one argument too many; sidegate run --help"),
        ],
    )
    def test_what_a_command_does_not_take(
        self, sidegate: Command, arguments: tuple[str, ...], says: str
    ) -> None:
        code, out, err = sidegate(*arguments)
        assert (code, out) == (2, "")
        assert says in err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("health", "http://127.0.0.1:9901"), "health --admin http://127.0.0.1:9901"),
            (("run", "http://127.0.0.1:3000"), "run --upstream http://127.0.0.1:3000"),
            (("run", "3000"), "run --upstream 3000"),
            (("check", "http://127.0.0.1:3000"), "check sidegate.yaml"),
            (("explain", "http://127.0.0.1/", "GET", "/"), "explain sidegate.yaml GET /"),
            (("explain", "GET", "/", "a.yaml"), "explain sidegate.yaml GET /"),
        ],
    )
    def test_what_is_no_file(
        self, sidegate: Command, arguments: tuple[str, ...], says: str
    ) -> None:
        code, out, err = sidegate(*arguments)
        assert (code, out) == (2, "")
        assert f"write sidegate {says}\n" in err


class TestCheck:
    """All problems on standard error, a line for each good file on standard output."""

    def test_a_good_file(self, folder: Path, sidegate: Command) -> None:
        (folder / "a.yaml").write_text(GOOD)
        code, out, err = sidegate("check", "a.yaml")
        assert (code, err) == (0, "")
        assert out.startswith("a.yaml: ok, 1 route, 1 upstream, ")

    def test_a_bad_file(self, folder: Path, sidegate: Command) -> None:
        (folder / "b.yaml").write_text(BAD)
        code, out, err = sidegate("check", "b.yaml")
        assert (code, out) == (1, "")
        assert err.splitlines() == [
            "b.yaml:1:18: upstreams.app: 'nope' is not an address; write http://HOST:PORT or "
            "https://HOST:PORT, or unix:/path.sock",
            'b.yaml:2:1: unknown key "polices"; did you mean "policies"?',
            "2 problems in b.yaml",
        ]

    def test_what_only_building_finds_is_told_with_the_rest(
        self, folder: Path, sidegate: Command
    ) -> None:
        (folder / "sidegate.yaml").write_text(
            "upstreams: {app: http://a, other: {endpoint: http://b}}\n"
            "policies: {mirror: nobody, fallback: {upstream: other}, rate_limit: {limit: 5}}\n"
            "routes: [{name: all, upstream: app}]\n"
        )
        code, _, told = sidegate("check", "sidegate.yaml")
        assert code == 1
        assert [line.split(": ")[1] for line in told.splitlines()[:-1]] == [
            "upstreams.other", "policies.mirror", "policies.rate_limit.limit",
        ]  # fmt: skip

    def test_what_follows_from_a_broken_part_is_not_told(
        self, folder: Path, sidegate: Command
    ) -> None:
        (folder / "sidegate.yaml").write_text(
            "upstreams: {app: http://a}\npolicies: {why: {secret: !file gone}}\n"
        )
        _, _, told = sidegate("check", "sidegate.yaml")
        assert "policies.why.secret: !file gone: cannot be read" in told
        assert "1 problem in sidegate.yaml" in told

    def test_several_files_are_all_checked(self, folder: Path, sidegate: Command) -> None:
        (folder / "a.yaml").write_text(GOOD)
        (folder / "b.yaml").write_text(BAD)
        code, out, err = sidegate("check", "b.yaml", "gone.yaml", "a.yaml")
        assert code == 1
        assert "a.yaml: ok" in out
        assert "1 problem in gone.yaml" in err

    def test_the_usual_file_needs_no_name(self, folder: Path, sidegate: Command) -> None:
        assert sidegate("check").code == 2
        (folder / "sidegate.yaml").write_text(GOOD)
        assert sidegate("check").out.startswith("sidegate.yaml: ok")

    def test_the_environment_counts(self, folder: Path, sidegate: Command) -> None:
        (folder / "a.yaml").write_text(GOOD)
        code, _, err = sidegate("check", "a.yaml", SIDEGATE_SERVER__WORKERS="many")
        assert code == 1
        assert "environment SIDEGATE_SERVER__WORKERS: server.workers: must be" in err


class TestExplain:
    """For people, and with --json for programs."""

    @pytest.fixture
    def file(self, folder: Path) -> str:
        (folder / "a.yaml").write_text(GOOD + "server: {trusted_proxies: 10.0.0.0/8}\n")
        return "a.yaml"

    def test_text(self, file: str, sidegate: Command) -> None:
        code, out, err = sidegate("explain", file, "GET", "/x", "--client-ip", "10.1.2.3")
        assert (code, err) == (0, "")
        assert out.startswith("GET /x\n\nroute     default (default): ")
        assert "client    a trusted proxy" in out

    def test_json(self, file: str, sidegate: Command) -> None:
        code, out, _ = sidegate("explain", file, "GET", "/x", "--json", "-H", "Host: example.com")
        assert code == 0
        assert json.loads(out)["route"]["name"] == "default"

    @pytest.mark.parametrize(
        ("path", "refused"), [("/a;b", True), ("/x;y", False), ("/../a", True)]
    )
    def test_a_path_that_is_refused(
        self, folder: Path, sidegate: Command, path: str, refused: bool
    ) -> None:
        """The one with parameters would be `/a` to a service that cuts them off."""
        routes = "routes: [{name: a, match: {path: /a}, policies: {respond: 403}}, {name: rest}]"
        (folder / "c.yaml").write_text(f"upstreams: {{app: 'http://a'}}\n{routes}\n")
        code, out, _ = sidegate("explain", "c.yaml", "GET", path)
        assert code == 0
        assert ("400 invalid_target" in out) is refused

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("GET", "x"), "write http://HOST/PATH or /PATH"),
            (("GET", "/x", "-H", "nope"), "write 'Name: value'"),
            (("GET", "/x", "--client-ip", "me"), "'me' is no IP address"),
        ],
    )
    def test_a_wrong_request(
        self, file: str, sidegate: Command, arguments: tuple[str, ...], says: str
    ) -> None:
        code, out, err = sidegate("explain", file, *arguments)
        assert (code, out) == (2, "")
        assert says in err

    def test_a_bad_file(self, folder: Path, sidegate: Command) -> None:
        (folder / "b.yaml").write_text(BAD)
        code, _, err = sidegate("explain", "b.yaml", "GET", "/x")
        assert code == 1
        assert err.count("b.yaml:") == 2


class TestSchemaAndPolicies:
    """References, made from the code."""

    def test_schema(self, sidegate: Command) -> None:
        code, out, _ = sidegate("schema")
        assert code == 0
        assert json.loads(out)["title"] == "Sidegate configuration"

    def test_all_policies(self, sidegate: Command) -> None:
        code, out, _ = sidegate("policies")
        assert code == 0
        assert "* request_id " in out

    def test_one_policy(self, sidegate: Command) -> None:
        assert sidegate("policies", "request_id").out.startswith("request_id\n==========\n")
        assert sidegate("policies", "request_id", "--markdown").out.startswith("### request_id\n")

    def test_the_whole_reference(self, sidegate: Command) -> None:
        out = sidegate("policies", "--markdown").out
        assert out.count("\n### ") + 1 == out.count("|option|type|default|what it does|") > 1

    def test_a_typo(self, sidegate: Command) -> None:
        code, _, err = sidegate("policies", "request-id")
        assert (code, err) == (
            2,
            'sidegate: unknown policy "request-id"; did you mean "request_id"?\n',
        )

    def test_a_policy_is_no_setting(self, sidegate: Command) -> None:
        code, out, err = sidegate("settings", "rate_limit")
        assert (code, out) == (2, "")
        assert err == 'sidegate: "rate_limit" is a policy; write sidegate policies rate_limit\n'


class TestRun:
    """What `run` hands to the application, which is started elsewhere."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[Document]:
        """The documents with which the application would have started."""
        documents: list[Document] = []

        def run(load: Callable[[], Document], catalog: Catalog) -> int:
            document = load()
            make_plan(document, catalog)
            documents.append(document)
            return 0

        monkeypatch.setattr("proxy.app.run", run)
        return documents

    def test_with_nothing_it_says_what_is_needed(
        self, sidegate: Command, started: list[Document]
    ) -> None:
        code, _, err = sidegate("run")
        assert (code, started) == (2, [])
        assert "sidegate run --upstream http://127.0.0.1:3000" in err

    @pytest.mark.parametrize(
        ("arguments", "environ"),
        [
            (("--upstream", "http://127.0.0.1:3000"), {}),
            (("--upstream", "3000"), {}),
            ((), {"SIDEGATE_UPSTREAM": "http://127.0.0.1:3000"}),
        ],
    )
    def test_a_sidecar_needs_no_file(
        self,
        sidegate: Command,
        started: list[Document],
        arguments: tuple[str, ...],
        environ: dict[str, str],
    ) -> None:
        assert sidegate("run", *arguments, **environ).code == 0
        assert started[0].config.upstreams["app"].urls == ("http://127.0.0.1:3000",)

    def test_the_usual_file_needs_no_name(
        self, folder: Path, sidegate: Command, started: list[Document]
    ) -> None:
        (folder / "sidegate.yaml").write_text(GOOD)
        assert sidegate("run", "--listen", ":81").code == 0
        assert started[0].sources == (Path("sidegate.yaml"),)
        assert started[0].config.server.listen == ("http://0.0.0.0:81",)

    def test_the_environment_may_name_the_file(
        self, folder: Path, sidegate: Command, started: list[Document]
    ) -> None:
        (folder / "x.yaml").write_text(GOOD)
        assert sidegate("run", SIDEGATE_CONFIG="x.yaml").code == 0
        assert started[0].sources == (Path("x.yaml"),)

    def test_a_bad_file_tells_all_problems_and_starts_nothing(
        self, folder: Path, sidegate: Command, started: list[Document]
    ) -> None:
        (folder / "b.yaml").write_text(BAD + "policies: {nope: 1}\n")
        code, _, err = sidegate("run", "b.yaml")
        assert (code, started) == (1, [])
        assert err.count("b.yaml:") == 3

    def test_the_file_is_read_again_on_each_call(
        self, folder: Path, sidegate: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = folder / "a.yaml"
        file.write_text(GOOD)

        def run(load: Callable[[], Document], catalog: Catalog) -> int:
            before = load().digest
            file.write_text(GOOD + "server: {forwarded: true}\n")
            assert load().digest != before
            file.write_text(BAD)
            with pytest.raises(ConfigError):
                make_plan(load(), catalog)
            return 7

        monkeypatch.setattr("proxy.app.run", run)
        assert sidegate("run", "a.yaml").code == 7


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "proxy", "schema"],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environ,
            cwd=tmp_path,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


class TestObservability:
    def test_it_writes_rules_and_a_dashboard(self, sidegate: Command, folder: Path) -> None:
        outcome = sidegate("observability", "--out", "there", "--objective", "99.5")
        assert outcome.code == 0
        written = sorted(path.name for path in (folder / "there").iterdir())
        assert [Path(line).name for line in sorted(outcome.out.split())] == written
        assert "SidegateErrorBudgetBurn1h" in (folder / "there/alert-rules.yaml").read_text()

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (("--out", "a", "--objective", "100"), "--objective"),
            (("--out", "a", "--latency", "0s"), "--latency"),
            (("--out", "a", "--latency", "soon"), "--latency"),
            (("--out", "/dev/null/a"), "/dev/null/a"),
        ],
    )
    def test_wrong_arguments_are_named(
        self, sidegate: Command, folder: Path, arguments: tuple[str, ...], named: str
    ) -> None:
        outcome = sidegate("observability", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert named in outcome.err
        assert not list(folder.iterdir())
