"""Holds requests against what their service expects, before it sees them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, NoReturn

from proxy.content.form import Pair, read_pairs
from proxy.content.json import JsonLimits
from proxy.content.media import Media, read_media
from proxy.contract import CheckedStream, Checks, PolicySpec, Request, Response, Toolkit
from proxy.entity import Entity, read_entity
from proxy.errors import GatewayError, Refused, Violation
from proxy.http1.override import other_methods
from proxy.policies.validate.bodies import FormLimits, admit_type, check_form, check_json, fits
from proxy.policies.validate.fields import PartValues
from proxy.policies.validate.openapi import Content, OpenApi, Operation
from proxy.policies.validate.options import Options
from proxy.policies.validate.parameters import Kind, object_of
from proxy.policies.validate.responses import ResponseCheck
from proxy.policies.validate.schemas import VIOLATIONS_MAX, Validate
from proxy.policies.validate.uploads import SizeCheck, UploadCheck, UploadLimits

# Of a form in parts so much is looked at before any of it goes on.
_FIRST_LOOK: Final = 64 * 1024


class Validating:
    """A gate; where responses are looked at too, also a replacer of their bodies."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._options = options
        self._shadow = options.mode == "shadow"
        self._document = options.document
        self._validators = options.validators
        self._kinds = options.kinds
        limits = options.json_body
        self._json = JsonLimits(
            limits.depth, limits.keys, limits.items, limits.digits, limits.name,
            limits.duplicates == "pass",
        )  # fmt: skip
        form = options.form
        self._form = FormLimits(form.fields, form.name, form.value, form.repeats == "pass")
        parts = options.multipart
        self._uploads = UploadLimits(parts.parts, parts.files, parts.file, parts.value, parts.types)
        openapi = options.openapi
        self._strict = openapi is not None and openapi.unknown_query == "refuse"
        self._must_be_known = openapi is not None and openapi.unknown == "refuse"
        if openapi is not None and openapi.responses == "shadow":
            # Only where it is asked for: a replacer costs every response a call.
            self._responses = ResponseCheck(toolkit)
            self.replace = self._look_at

    def check(self, request: Request) -> Awaitable[None] | None:
        """Raise Refused for what isn't as it should be. Only bodies are waited for."""
        found: list[Violation] = []
        operation = None
        if self._document is not None:
            operation = self._operation(self._document, request, found)
        if self._validators:
            self._check_parts(request, found)
        if request.body:
            return self._check_all(request, operation, found)
        if self._required(operation):
            found.append(_body("is missing"))
        if found:
            _refuse(found)
        return None

    async def _check_all(
        self, request: Request, operation: Operation | None, found: list[Violation]
    ) -> None:
        """The body too. found: what is wrong with the head."""
        found += await self._check_body(request, operation)
        if found:
            _refuse(found)

    def _look_at(self, request: Request, response: Response) -> Response:
        operation: Operation | None = request.state.get("validate")
        if operation is not None and response.origin == "upstream":
            self._responses.watch(request, response, operation)
        return response

    # -- the head ------------------------------------------------------------------------------

    def _operation(
        self, document: OpenApi, request: Request, found: list[Violation]
    ) -> Operation | None:
        item = document.find(request.path)
        if item is None:
            if self._must_be_known:
                raise Refused("route_not_found", "The interface has no such path.")
            return None
        methods = item[0].operations
        method = request.method
        if method == "HEAD" and "HEAD" not in methods:
            method = "GET"
        operation = methods.get(method)
        if self._must_be_known and any(name != method for name in other_methods(request.headers)):
            # The service may take it for another operation than this one.
            operation = None
        if operation is None:
            if self._must_be_known:
                allow = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
                raise Refused("method_not_allowed", headers=(("Allow", allow),))
            return None
        request.state["validate"] = operation
        query = read_pairs(request.query)
        found += operation.check_head(request, item[0].names, item[1], query, self._strict)
        return operation

    def _check_parts(self, request: Request, found: list[Violation]) -> None:
        validators = self._validators
        if "query" in validators:
            pairs = read_pairs(request.query)
            found += validators["query"](object_of(pairs, self._kinds["query"]))
        if "path" in validators:
            captures = list(request.captures.items())
            found += validators["path"](object_of(captures, self._kinds["path"]))
        if "headers" in validators:
            fields: list[Pair] = list(request.headers.items())
            found += validators["headers"](object_of(fields, self._kinds["headers"]))

    # -- the body ------------------------------------------------------------------------------

    def _required(self, operation: Operation | None) -> bool:
        return self._options.body == "required" or (operation is not None and operation.required)

    async def _check_body(self, request: Request, operation: Operation | None) -> list[Violation]:
        options = self._options
        size = options.size
        if size is not None and (request.length or 0) > size:
            raise Refused("body_too_large")
        media = read_media(request.headers.get("content-type"))
        content = self._content(media, operation)
        whole = media is not None and (media.is_json or media.is_form)
        in_parts = media is not None and media.is_multipart
        if not whole and not in_parts and "body" in self._validators:
            raise Refused("unsupported_media_type", "The body must be JSON or a form.")
        if whole:
            limit = options.buffer if size is None else min(options.buffer, size)
        elif in_parts:
            limit = _FIRST_LOOK
        elif self._required(operation) or options.body == "forbidden":
            limit = 1
        else:
            self._watch(request, [])
            return []
        entity = await read_entity(request, limit)
        if entity.whole and not entity.data:
            return [_body("is missing")] if self._required(operation) else []
        if options.body == "forbidden":
            return [_body("is not allowed")]
        if whole:
            return self._check_whole(entity, content)
        if media is not None and media.is_multipart:
            self._check_upload(request, entity, media, content)
        else:
            self._watch(request, [])
        return []

    def _content(self, media: Media | None, operation: Operation | None) -> Content | None:
        """What the document says about a body of this type. Raises Refused for other types."""
        admit_type(media, self._options.content_types)
        if operation is None or operation.contents is None:
            return None
        if not self._options.content_types:
            admit_type(media, operation.contents)
        name = media.name if media is not None else ""
        exact = operation.contents.get(name)
        if exact is not None:
            return exact
        ranges = (content for row, content in operation.contents.items() if fits(name, row))
        return next(ranges, None)

    def _check_whole(self, entity: Entity, content: Content | None) -> list[Violation]:
        """A JSON text or a form."""
        if entity.coding:
            raise Refused("unsupported_media_type", "The content coding can't be read here.")
        if not entity.whole:
            raise Refused("body_too_large")
        media = entity.media
        validators, kind = self._of_body(content)
        if media is not None and media.is_json:
            check_json(entity, self._json)
            return [row for validate in validators for row in validate(entity.json())]
        pairs = check_form(entity, self._form)
        if kind is None:
            return []
        return [row for validate in validators for row in validate(object_of(pairs, kind))]

    def _of_body(self, content: Content | None) -> tuple[list[Validate], Kind | None]:
        """What a body is held against, and how the texts of a form become values for it."""
        validators: list[Validate] = []
        if "body" in self._validators:
            validators.append(self._validators["body"])
        if content is not None and content.validate is not None:
            validators.append(content.validate)
        return validators, content.kind if content is not None else self._kinds.get("body")

    def _check_upload(
        self, request: Request, entity: Entity, media: Media, content: Content | None
    ) -> None:
        """A form in parts: at once as far as it is here, the rest as it passes."""
        if "content-encoding" in request.headers:
            raise Refused("unsupported_media_type", "A form in parts can't be coded.")
        validators, kind = self._of_body(content)

        def check() -> UploadCheck:
            values = None
            if validators and kind is not None:
                values = PartValues(validators, kind, self._json, self._options.buffer)
            return UploadCheck(media, self._uploads, values)

        first = check()
        if isinstance(request.body, bytes):
            first.feed(request.body)
            first.finish()
            return
        first.feed(entity.data)
        self._watch(request, [check()])

    def _watch(self, request: Request, checks: list[Checks]) -> None:
        """Check what comes of a body on its way, its size too."""
        if isinstance(request.body, bytes):
            return
        if self._options.size is not None and request.length is None:
            checks.append(SizeCheck(self._options.size))
        if not checks:
            return

        def note(refused: GatewayError) -> bool:
            outcome = "would_refuse" if self._shadow else "refused"
            request.decide("validate", outcome, refused.code)
            return self._shadow

        request.body = CheckedStream(request.body, request.length, checks, note)


def _refuse(found: list[Violation]) -> NoReturn:
    in_body = any(violation.place == "body" for violation in found)
    first = found[0]
    raise Refused(
        "invalid_input",
        status=422 if in_body else 400,
        violations=tuple(found[:VIOLATIONS_MAX]),
        cause=f"{first.place} {first.pointer}: {first.detail}",
    )


def _body(detail: str) -> Violation:
    return Violation("body", "", detail)


POLICY = PolicySpec(
    "validate",
    Options,
    Validating,
    after={"error_envelope", "ip_filter", "bots", "hosts", "methods", "csrf", "rate_limit"},
    before={"sanitize", "shield", "cache", "redirect", "respond", "rewrite"},
    shorthand="openapi",
)
