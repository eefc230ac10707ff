"""Fault 21: stop with one streaming and one queued request: the stream ends whole, the queued one gets 503."""

from __future__ import annotations

import threading

from tests.supervise.harness import QUICK, World, chat, until
from toolkit.supervise import api
from toolkit.types import Deployment


def asking(server: Deployment, tokens: int, answers: list[tuple[int, bytes]]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(chat(server, tokens, stream=True)))
    thread.start()
    return thread


def test_a_drain_keeps_the_stream_and_refuses_the_queue(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.05)
    server = world.start(plan=world.plan(max_in_flight=1))
    streamed: list[tuple[int, bytes]] = []
    queued: list[tuple[int, bytes]] = []
    first = asking(server, 40, streamed)
    until(lambda: api.status("s").in_flight == 1, 5)
    second = asking(server, 40, queued)
    until(lambda: api.status("s").queued == 1, 5)
    assert api.stop("s").state == "stopped"
    first.join(5)
    second.join(5)
    status, body = streamed[0]
    assert (status, body.count(b'"content"'), body.endswith(b"data: [DONE]\n\n")) == (200, 40, True)
    assert b"error" not in body
    assert queued[0][0] == 503
    assert world.crashes() == []


def test_a_stream_longer_than_the_drain_is_cut_with_an_event(world: World, repeat: int, moment: None) -> None:
    world.faults(token_s=0.05)
    server = world.start(limits=QUICK.model_copy(update={"drain_s": 0.5}))
    streamed: list[tuple[int, bytes]] = []
    thread = asking(server, 4000, streamed)
    until(lambda: api.status("s").in_flight == 1, 5)
    assert api.stop("s").state == "stopped"
    thread.join(5)
    status, body = streamed[0]
    assert status == 200
    assert body.count(b"event: error\n") == 1
