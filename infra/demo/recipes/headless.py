"""Headless: your own app shows the status, as JSON through httpx or as HTML through Jinja2.

Run: PULSE_URL=https://pulse.example.com uvicorn infra.demo.recipes.headless:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

PULSE_URL = os.environ.get("PULSE_URL", "http://127.0.0.1:8080")
templates = Jinja2Templates(Path(__file__).parent)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client, so that connections to PulseAPI are kept."""
    async with httpx.AsyncClient(base_url=PULSE_URL, timeout=5) as client:
        app.state.pulse = client
        yield


app = FastAPI(lifespan=lifespan)


async def fetch_status(request: Request, slug: str) -> httpx.Response:
    """What PulseAPI answers for the page, or a 502 of our own."""
    try:
        answer: httpx.Response = await request.app.state.pulse.get(f"/status/{slug}")
    except httpx.TransportError as error:
        raise HTTPException(502, "the status service does not answer") from error
    if answer.status_code != 200:
        raise HTTPException(answer.status_code, f"the status service answers {answer.status_code} for {slug}")
    return answer


@app.get("/our-status/{slug}.json")
async def status_json(request: Request, slug: str) -> Response:
    """The document as it is."""
    answer = await fetch_status(request, slug)
    return Response(answer.content, media_type="application/json")


@app.get("/our-status/{slug}")
async def status_page(request: Request, slug: str) -> HTMLResponse:
    """The document in our own template."""
    answer = await fetch_status(request, slug)
    return templates.TemplateResponse(request, "headless.html", {"status": answer.json()})
