"""Responses as ASGI messages, for middleware that answers without Litestar."""

from litestar.types import Message, Send

from raised_api.http.problems import MEDIA_TYPE, Problem

Headers = list[tuple[bytes, bytes]]


async def send_response(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_problem(send: Send, problem: Problem, headers: Headers) -> None:
    """Send a problem document with these headers beside its own."""
    body = problem.body()
    own = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
    encoded = [(name.encode(), value.encode()) for name, value in own.items()]
    await send_response(send, problem.status, encoded + headers, body)


def with_headers(send: Send, headers: Headers) -> Send:
    """A `send` that adds headers to the response."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers
