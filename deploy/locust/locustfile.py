"""Chats with a streaming OpenAI endpoint, for plain Locust: the load of several machines.

The key comes from SELFHOST_API_KEY, the model from LOAD_MODEL, the answer's length from LOAD_OUTPUT_TOKENS.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

from locust import HttpUser, constant, events, task

MODEL = os.environ["LOAD_MODEL"]
KEY = os.environ.get("SELFHOST_API_KEY", "")
OUTPUT_TOKENS = int(os.environ.get("LOAD_OUTPUT_TOKENS", "128"))
WORDS = ["river", "stone", "market", "winter", "letter", "engine", "garden", "signal", "harbour", "copper"]


def fire(name: str, started: float) -> None:
    """Tell Locust of one more time, in its own table."""
    elapsed = (time.perf_counter() - started) * 1000
    events.request.fire(
        request_type="SSE", name=name, response_time=elapsed, response_length=0, exception=None, context={}
    )


class Chat(HttpUser):
    """One user: asks, reads the whole answer, asks again."""

    wait_time = constant(0)

    @task
    def chat(self) -> None:
        """One streamed chat; the time to the first token is a row of its own."""
        prompt = " ".join(random.choice(WORDS) for _ in range(200))  # no two alike: a prefix cache must not help
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": OUTPUT_TOKENS,
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {KEY}"} if KEY else {}
        started = time.perf_counter()
        with self.client.post(
            "/v1/chat/completions", json=body, headers=headers, stream=True, timeout=300, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
                return
            ended = self.read(answer, started)
            if ended:
                answer.success()
            else:
                answer.failure("the stream ended early")

    @staticmethod
    def read(answer: Any, started: float) -> bool:
        """Read the stream to its end; True when it said [DONE]."""
        first = True
        for line in answer.iter_lines():
            if line == b"data: [DONE]":
                fire("whole answer", started)
                return True
            if first and line.startswith(b"data: ") and has_token(line[6:]):
                first = False
                fire("first token", started)
        return False


def has_token(data: bytes) -> bool:
    """Whether one event of the stream carries text."""
    choices = json.loads(data).get("choices") or [{}]
    return bool((choices[0].get("delta") or {}).get("content"))
