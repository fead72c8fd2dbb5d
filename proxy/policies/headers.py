"""Header fields that the operator sets, adds and removes, on either side."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from proxy.config.listing import ONE_OR_MANY
from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit, Written
from proxy.http1.field import Side, check_editable
from proxy.http1.headers import Headers, encode
from proxy.http1.template import Template, check_template

_Text = Annotated[str, AfterValidator(check_template)]


class Changes(Written):
    """Changes to one side's fields: first those to remove, then to set, then to add."""

    model_config = ConfigDict(validate_default=True)

    set: dict[str, _Text] = Field(default_factory=dict)
    """Values by name; every field of that name is replaced."""
    add: dict[str, Annotated[tuple[_Text, ...], ONE_OR_MANY]] = Field(default_factory=dict)
    """Values by name, one or a list; fields of that name are kept."""
    remove: tuple[str, ...] = ()
    """Names."""

    @model_validator(mode="after")
    def _once(self) -> Changes:
        seen: dict[str, str] = {}
        for name in self.set:
            if name.lower() in seen:
                raise ValueError(f"{seen[name.lower()]} and {name} are the same field")
            seen[name.lower()] = name
        return self


def _editable(side: Side) -> Any:
    def check(changes: Changes) -> Changes:
        for name in (*changes.set, *changes.add, *changes.remove):
            check_editable(name, side)
        return changes

    return AfterValidator(check)


class Options(PolicyOptions):
    """Set, add and remove header fields of requests and responses.

    Values may hold `{request_id}`, `{client_ip}`, `{host}`, `{scheme}`, `{method}`, `{path}`
    and captures of the route's path as `{path.NAME}`; `{{` is a brace. Control characters
    in what they stand for are removed. Fields of the connection, of framing and of
    forwarding belong to Sidegate and can't be changed. `security_headers` acts after this
    on responses, so a field it strips stays stripped unless its own `set` says otherwise.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request": {"set": {"X-Tenant": "{path.tenant}"}, "remove": ["X-Debug"]},
                    "response": {"add": {"Link": "</docs>; rel=help"}},
                }
            ]
        }
    )

    request: Annotated[Changes, _editable("request")] = Changes()
    """Before the request is forwarded."""
    response: Annotated[Changes, _editable("response")] = Changes()
    """Before the response goes to the client."""


class _Value(NamedTuple):
    """A field to write: constant bytes, or a template to render."""

    name: bytes
    constant: bytes
    template: Template | None

    @classmethod
    def of(cls, name: str, text: str) -> _Value:
        template = Template(text)
        if template.constant is not None:
            return cls(name.encode("ascii"), encode(template.constant), None)
        return cls(name.encode("ascii"), b"", template)

    def render(self, request: Request) -> bytes:
        return self.constant if self.template is None else encode(self.template(request))


class _Edits:
    """The changes of one side, laid out as bytes."""

    __slots__ = ("_add", "_remove", "_set")

    def __init__(self, changes: Changes) -> None:
        self._remove = frozenset(name.lower() for name in changes.remove)
        self._set = tuple(_Value.of(name, text) for name, text in changes.set.items())
        self._add = tuple(
            _Value.of(name, text) for name, texts in changes.add.items() for text in texts
        )

    def apply(self, request: Request, headers: Headers) -> None:
        headers.drop(self._remove)
        for value in self._set:
            headers.set_raw(value.name, value.render(request))
        for value in self._add:
            headers.append(value.name, value.render(request))


class HeaderEditor:
    """Applies the changes of both sides."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._request = _Edits(options.request)
        self._response = _Edits(options.response)

    def edit_request(self, request: Request) -> None:
        """Change what the upstream is told."""
        self._request.apply(request, request.headers)

    def edit_response(self, request: Request, response: Response) -> None:
        """Change what the client is told."""
        self._response.apply(request, response.headers)


POLICY = PolicySpec("headers", Options, HeaderEditor, after={"security_headers"})
