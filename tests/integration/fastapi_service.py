"""An ordinary FastAPI application; uvicorn runs it, and neither knows of Sidegate."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import BaseModel, Field

app = FastAPI(redirect_slashes=True)


class Order(BaseModel):
    """What is bought."""

    item: str
    count: Annotated[int, Field(ge=1)]


@app.get("/files/{name}")
def file(name: str) -> FileResponse:
    path = os.path.join(os.environ["FOLDER"], os.path.basename(name))
    if not os.path.isfile(path):
        raise HTTPException(404)
    return FileResponse(path)


@app.post("/orders", status_code=201)
async def order(order: Order, response: Response) -> Order:
    response.set_cookie("last", order.item)
    response.set_cookie("count", str(order.count))
    return order


@app.put("/upload")
async def upload(request: Request) -> dict[str, int]:
    count = 0
    async for piece in request.stream():
        count += len(piece)
    return {"received": count}


@app.get("/old")
async def old() -> RedirectResponse:
    return RedirectResponse("/orders/", status_code=307)


@app.delete("/orders/{number}", status_code=204)
async def delete(number: int) -> None:
    return None
