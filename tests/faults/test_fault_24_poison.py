"""Fault 24: a request that kills the engine each time, retried beside ten good clients."""

from __future__ import annotations

import threading
import time

from tests.supervise.harness import World, chat, until_state


def test_the_poison_is_refused_and_the_good_are_served(world: World, repeat: int) -> None:
    world.faults(crash_on="poison", token_s=0.02)
    server = world.start()
    quarantined, stop = threading.Event(), threading.Event()
    good: list[tuple[float, int]] = []
    bad: list[int] = []

    def client(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            status, _ = chat(server, 5, text=f"good {number} {turn}")
            good.append((time.monotonic(), status))
            if status != 200:
                time.sleep(0.1)

    def poisoner() -> None:
        while not stop.is_set():
            status, _ = chat(server, 5, text="poison")
            bad.append(status)
            if status == 422:
                quarantined.set()
            time.sleep(0.2)

    threads = [threading.Thread(target=client, args=(n,), daemon=True) for n in range(10)]
    threads.append(threading.Thread(target=poisoner, daemon=True))
    for thread in threads:
        thread.start()
    assert quarantined.wait(30), f"never refused: {bad}"
    until_state("ready")
    since = time.monotonic()
    time.sleep(3)
    stop.set()
    for thread in threads:
        thread.join(10)
    after = [status for at, status in good if at > since]
    assert len(after) > 50
    assert after.count(200) / len(after) >= 0.99
    assert world.crashes() == ["signal:9", "signal:9"]
    assert 422 not in [status for _, status in good]
