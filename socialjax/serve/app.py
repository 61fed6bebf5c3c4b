"""The endpoints: what can be asked under which address, and the status of what cannot. The only user of FastAPI."""

import functools
from importlib import resources
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from socialjax import __version__, pages
from socialjax.names import visible
from socialjax.serve import schemas
from socialjax.serve.answers import SHOWN, Answers, Refused
from socialjax.serve.guard import BODY_SECONDS, Guard
from socialjax.serve.metrics import TYPE, Metrics
from socialjax.serve.workers import Busy, Workers

FILES = {"/": "index.html", "/page.js": "page.js", "/page.css": "page.css", "/icon.svg": "icon.svg"}
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
WITHOUT_SCRIPTS = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
FOUND = 20  # names that a search gives, unless told
WRONG = {
    404: {"model": schemas.Problem, "description": "The data set has no such user or item."},
    409: {"model": schemas.Problem, "description": "The model that is served cannot do this."},
    422: {"model": schemas.Problem, "description": "The question is not as it must be."},
    503: {"model": schemas.Problem, "description": "Too many questions at once, or too long a one."},
}
JPEG = {
    200: {"content": {"image/jpeg": {}}, "description": "The picture, at most 320 pixels wide and high."},
    204: {"description": "Nothing, where there is no picture."},
}
TEXT = {200: {"content": {"text/plain": {}}, "description": "Prometheus' text format."}}
User = Annotated[str, Query(max_length=schemas.LONGEST, description="The id of a user.")]
Item = Annotated[str, Query(max_length=schemas.LONGEST, description="The id of an item, or a title that is its own.")]
Items = Annotated[
    list[Annotated[str, Query(max_length=schemas.LONGEST)]],
    Query(min_length=1, max_length=schemas.EXPLAINED, description="Ids or titles of items; may be repeated."),
]
# The range is checked where the library's sentence comes from.
K = Annotated[int, Query(description="How many.", json_schema_extra={"minimum": 1, "maximum": schemas.MOST})]
Prefix = Annotated[str, Query(max_length=schemas.LONGEST, description="What an id or a title begins with.")]
Frame = Annotated[int | None, Query(ge=0, le=1_000_000, description="Its number in the item, counted from 0.")]
Most = Annotated[int, Query(ge=1, le=schemas.MOST, description="How many at most.")]


def application(
    answers: Answers,
    workers: Workers | None = None,
    metrics: Metrics | None = None,
    hosts: tuple[str, ...] = (),
    body_seconds: float = BODY_SECONDS,
) -> FastAPI:
    """The ASGI application of a run.

    Args:
        answers: of the run.
        workers: threads in which they are computed.
        metrics: in which requests are counted.
        hosts: names under which the server is reached; empty for any.
        body_seconds: in which a body must have come.
    """
    workers, metrics = workers or Workers(), metrics or Metrics()
    metrics.watch_queue(lambda: workers.waiting)
    app = FastAPI(
        title="socialjax",
        version=__version__,
        description=f"{answers.served.model} on {answers.served.data_set}. {answers.served.banner}.",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        responses=WRONG,
    )
    app.add_middleware(Guard, metrics=metrics, hosts=hosts, body_seconds=body_seconds)
    _add_errors(app)
    _add_questions(app, answers, workers)
    _add_state(app, answers, metrics)
    _add_pages(app, answers.served)
    return app


def _add_questions(app: FastAPI, answers: Answers, workers: Workers) -> None:
    @app.get("/api/recommend", tags=["recommendations"])
    async def recommend(user: User, k: K = 10, exclude_seen: bool = True) -> schemas.Recommended:
        """The k best items of a user, best first; without `exclude_seen`, training items too."""
        return await workers(answers.recommend, user, k, exclude_seen)

    @app.post("/api/recommend_new", tags=["recommendations"])
    async def recommend_new(new: schemas.NewUser) -> schemas.RankedItems:
        """The k best items for somebody new, who took these items and follows these friends; nothing is trained."""
        return await workers(answers.recommend_new, new.items, new.friends, new.k)

    @app.get("/api/similar", tags=["recommendations"])
    async def similar(item: Item, k: K = 10) -> schemas.RankedItems:
        """The k items whose embeddings have the largest cosine with that of an item."""
        return await workers(answers.similar, item, k)

    @app.get("/api/explain", tags=["reasons"])
    async def explain(user: User, item: Items, shown: Most = SHOWN) -> schemas.Explanations:
        """Why a user and each of these items got their scores, with so many elements of each part."""
        return await workers(answers.explain, user, item, shown)

    @app.get("/api/score", tags=["reasons"])
    async def score(user: User, item: Item) -> schemas.Score:
        """The score of a user and an item."""
        return await workers(answers.score, user, item)

    @app.get("/api/key_frames", tags=["reasons"])
    async def key_frames(user: User, item: Item, k: K = 1) -> schemas.KeyFrames:
        """The k frames of an item that a user likes best."""
        return await workers(answers.key_frames, user, item, k)

    @app.get("/api/profile", tags=["users and items"])
    async def profile(user: User) -> schemas.Profile:
        """History and friends of a user, as the model was given them."""
        return await workers(answers.profile, user)

    @app.get("/api/users", tags=["users and items"])
    async def users(prefix: Prefix = "", most: Most = FOUND) -> schemas.Found:
        """Users whose id begins like that."""
        return await workers(answers.find_users, prefix, most)

    @app.get("/api/items", tags=["users and items"])
    async def items(prefix: Prefix = "", most: Most = FOUND) -> schemas.Found:
        """Items whose id or title begins like that."""
        return await workers(answers.find_items, prefix, most)

    @app.get("/api/picture", tags=["users and items"], response_class=Response, responses=JPEG)
    async def picture(item: Item, frame: Frame = None, or_none: bool = False) -> Response:
        """The picture of an item, or one of its frames, as JPEG; with `or_none` 204 in place of 404 without one."""
        content = await workers(answers.picture, item, frame, or_none)
        if content is None:
            return Response(status_code=204)
        return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


def _add_state(app: FastAPI, answers: Answers, metrics: Metrics) -> None:
    @app.get("/api/run", tags=["server"])
    async def run() -> schemas.Served:
        """Which model on which data, and what it can be asked."""
        return answers.served

    @app.get("/health", tags=["server"])
    async def health() -> schemas.Health:
        """Whether the server is ready: it starts to listen when it is."""
        return schemas.Health()

    @app.get("/metrics", tags=["server"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def read_metrics() -> Response:
        """Requests by endpoint and status, their seconds, and memory, in Prometheus' text format."""
        return Response(metrics.text(), media_type=TYPE)


def _add_pages(app: FastAPI, served: schemas.Served) -> None:
    folder = resources.files("socialjax.serve") / "page"
    for path, name in FILES.items():
        content, kind = (folder / name).read_bytes(), TYPES[name.rpartition(".")[2]]
        app.add_api_route(path, _file(content, kind), include_in_schema=False, response_class=Response)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """The description of the interface, of which `/openapi.json` is the form for programs."""
        return HTMLResponse(described(), headers={"content-security-policy": WITHOUT_SCRIPTS})

    @functools.cache
    def described() -> str:
        kind = served.data.upper() if served.warning else ""
        return pages.page(
            "interface.html", title="Interface of socialjax serve", kind=kind, banner=served.banner, api=app.openapi()
        )


def _file(content: bytes, kind: str):
    async def file() -> Response:
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return file


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(_request: Request, problem: Refused) -> JSONResponse:
        return JSONResponse({"error": str(problem)}, problem.status)

    @app.exception_handler(Busy)
    async def busy(_request: Request, problem: Busy) -> JSONResponse:
        return JSONResponse({"error": str(problem)}, 503, {"retry-after": "1"})

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, problem: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": "; ".join(dict.fromkeys(map(_sentence, problem.errors()[:5])))}, 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, problem: HTTPException) -> JSONResponse:
        sentence = visible(problem.detail)
        if problem.status_code == 404:
            sentence = f"nothing is called {visible(request.url.path[:200])} here; /docs lists what there is"
        elif problem.status_code == 405:
            sentence = f"{visible(request.method)} is not how {request.url.path} is asked; /docs says how"
        return JSONResponse({"error": sentence}, problem.status_code, problem.headers)


def _sentence(error: dict) -> str:
    """Such as `k: Input should be a valid integer, got 'ten'`."""
    place = ".".join(str(part) for part in error["loc"][1:] if not str(part).startswith("constrained-"))
    sentence = f"{visible(place[:100]) or 'the body'}: {error['msg']}"
    if error["type"] == "missing":
        return sentence
    got = visible(repr(error.get("input")))
    return f"{sentence}, got {got if len(got) <= 80 else got[:77] + '...'}"
