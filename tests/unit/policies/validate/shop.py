"""A small interface, as OpenAPI 3.1 and 3.0, for the tests of what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

NEW: Final = """
openapi: 3.1.0
info: {title: Shop, version: "1"}
servers: [{url: "https://shop.test/{version}", variables: {version: {default: v1}}}]
paths:
  /orders:
    parameters:
      - {name: X-Tenant, in: header, required: true, schema: {type: string, pattern: "^[a-z]+$"}}
    get:
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
        - {name: state, in: query, schema: {type: array, items: {enum: [open, paid]}}}
        - {name: ids, in: query, explode: false, schema: {type: array, items: {type: integer}}}
        - {name: tags, in: query, style: pipeDelimited, explode: false,
           schema: {type: array, items: {type: string}}}
        - {name: filter, in: query, style: deepObject,
           schema: {type: object, properties: {since: {type: integer}},
                    additionalProperties: false}}
        - {name: where, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: session, in: cookie, schema: {type: string, minLength: 3}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {type: array,
                items: {$ref: "#/components/schemas/Order"}}}}}
        4XX: {description: no}
    post:
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Order"}}
          application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Order"}}
      responses: {"201": {description: made}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {responses: {default: {description: any}}}
    delete: {responses: {"204": {description: gone}}}
  /photos:
    post:
      requestBody:
        content:
          multipart/form-data:
            schema:
              type: object
              required: [title, photo]
              properties:
                title: {type: string, maxLength: 10}
                count: {type: integer}
                tags: {type: array, items: {type: string, enum: [a, b]}}
                sizes: {type: array, items: {type: integer}}
                place: {$ref: "#/components/schemas/Place"}
                places: {type: array, items: {$ref: "#/components/schemas/Place"}}
                photo: {type: string, format: binary, minLength: 1}
                more: {type: array, items: {type: string, format: binary, minLength: 1}}
              additionalProperties: false
      responses: {}
  /upload:
    post: {requestBody: {content: {image/*: {}}}, responses: {}}
components:
  schemas:
    Place: {type: object, required: [city], properties: {city: {type: string}}}
    Order:
      type: object
      required: [id, item]
      properties:
        id: {type: integer, readOnly: true}
        item: {type: string, maxLength: 20}
        count: {type: integer, minimum: 1}
        note: {type: [string, "null"]}
        secret: {type: string, writeOnly: true}
      additionalProperties: false
"""

OLD: Final = """
openapi: 3.0.3
info: {title: Shop, version: "1"}
paths:
  /things:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                price: {type: number, minimum: 0, exclusiveMinimum: true}
                name: {type: string, nullable: true, enum: [a, b]}
                part: {$ref: "parts/part.yaml#/Part", description: ignored}
      responses: {}
"""

PART: Final = """
Part: {type: object, required: [size], properties: {size: {$ref: "#/Size"}}}
Size: {type: integer, nullable: true}
"""


def written(folder: Path, text: str = NEW, **changes: Any) -> str:
    """A file with this document. changes: of its top level."""
    file = folder / "openapi.yaml"
    if changes:
        text = yaml.safe_dump({**yaml.safe_load(text), **changes}, sort_keys=False)
    file.write_text(text)
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "parts" / "part.yaml").write_text(PART)
    return str(file)
