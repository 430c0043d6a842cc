"""A server of language models for the tests: it keeps what it is sent, and answers, refuses or hangs as told.

It speaks two protocols, OpenAI's chat completions and Anthropic's messages, by the path that is asked.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

from tests.servers.processes import free_port


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came over the wire."""

    path: str
    headers: dict[str, str]  #: names in lower case
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body, read."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def instructions(self) -> str:
        """All text that has the authority of whoever runs the service."""
        document = self.document
        said = [m["content"] for m in document["messages"] if m["role"] in ("system", "developer")]
        return "\n".join(_text(content) for content in [*said, document.get("system", "")]).strip()

    @property
    def session(self) -> str:
        """The text of the user's message that holds the session."""
        texts = (_text(m["content"]) for m in self.document["messages"] if m["role"] == "user")
        return next(text for text in texts if "<session>" in text)


def _text(content: Any) -> str:  # noqa: ANN401 (text, or a list of parts)
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@dataclass(frozen=True, slots=True)
class Status:
    """A refusal."""

    code: int
    message: str = "not now"
    location: str = ""


class Hangs:
    """No answer until the server stops."""


class HangsUp:
    """The end of the connection instead of an answer."""


Reply = dict[str, Any] | Status | Hangs | HangsUp | Callable[[Asked], dict[str, Any]]


@dataclass
class LanguageModel:
    """One server on a port of 127.0.0.1 that it keeps, in a thread of its own."""

    replies: list[Reply] = field(default_factory=list)  #: in order; the last one repeats
    input_tokens: int = 900  #: what each answer says it cost
    output_tokens: int = 80
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.arrived = Event()  #: a request came
        self._stopping = Event()
        self._lock = Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where the server listens; OpenAI's protocol stands below `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reply_to(self, asked: Asked) -> tuple[Status, bytes] | None:
        """Return the status and body of the next reply; None for nothing at all."""
        with self._lock:
            self.asked.append(asked)
            reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        self.arrived.set()
        if isinstance(reply, Hangs):
            self._stopping.wait()
        if isinstance(reply, Hangs | HangsUp):
            return None
        if isinstance(reply, Status):
            return reply, json.dumps({"error": {"message": reply.message, "type": "refused"}}).encode()
        answer = reply(asked) if callable(reply) else reply
        wrap = _as_anthropic if asked.path.endswith("/messages") else _as_openai
        return Status(200), json.dumps(wrap(self, asked.document, answer)).encode()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the 5 of the library, a crowd is hung up on


def _as_openai(model: LanguageModel, document: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Wrap an answer as https://platform.openai.com/docs/api-reference/chat/object describes."""
    arguments = json.dumps(answer)
    message: dict[str, Any] = {"role": "assistant", "content": arguments}
    reason = "stop"
    if document.get("tools"):
        function = {"name": document["tools"][0]["function"]["name"], "arguments": arguments}
        call = {"id": f"call_{len(model.asked)}", "type": "function", "function": function}
        message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    usage = {
        "prompt_tokens": model.input_tokens,
        "completion_tokens": model.output_tokens,
        "total_tokens": model.input_tokens + model.output_tokens,
    }
    return {
        "id": f"chatcmpl-{len(model.asked)}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": document["model"],
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": usage,
    }


def _as_anthropic(model: LanguageModel, document: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Wrap an answer as https://docs.anthropic.com/en/api/messages describes."""
    content: dict[str, Any] = {"type": "text", "text": json.dumps(answer)}
    if document.get("tools"):
        name = document["tools"][0]["name"]
        content = {"type": "tool_use", "id": f"toolu_{len(model.asked)}", "name": name, "input": answer}
    return {
        "id": f"msg_{len(model.asked)}",
        "type": "message",
        "role": "assistant",
        "model": document["model"],
        "content": [content],
        "stop_reason": "tool_use" if document.get("tools") else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": model.input_tokens, "output_tokens": model.output_tokens},
    }


def _handler(model: LanguageModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = model.reply_to(Asked(self.path, headers, body))
            if reply is None:
                return
            status, answer = reply
            self.send_response(status.code)
            if status.location:
                self.send_header("Location", status.location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
