"""A fake ``/metrics`` in front of the mock server: everything else is passed on, byte by byte.

Run as a child process: ``python metrics_page.py UPSTREAM_PORT MODE``; it prints ``listening PORT``. ``vllm`` answers
like vLLM, its counters growing with each scrape; ``restarting`` like our own proxy, one restart more with each scrape;
``reborn`` like a vLLM that began anew before its third scrape under load;
``slow``, ``garbage``, ``endless`` and ``closing`` misbehave.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time

VLLM = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="mock"}} 3.0
vllm:num_requests_waiting{{engine="0",model_name="mock"}} {waiting}
vllm:kv_cache_usage_perc{{engine="0",model_name="mock"}} 0.25
vllm:prefix_cache_queries_total{{engine="0",model_name="mock"}} {queries}
vllm:prefix_cache_hits_total{{engine="0",model_name="mock"}} {hits}
vllm:num_preemptions_total{{engine="0",model_name="mock"}} {n}
python_gc_objects_collected_total{{generation="0"}} 1234.0
"""
PROXY = 'selfhost_restarts_total{{server="x",reason="exit"}} {n}\nselfhost_in_flight{{server="x"}} 2\n'
REBORN = "vllm:num_requests_running 1\nvllm:prompt_tokens_total {tokens}\nprocess_start_time_seconds {start}\n"
count = itertools.count()
loaded = itertools.count()
"""Scrapes while two or more connections were open, which is the load: questions before it come one at a time."""
talking: set[threading.Thread] = set()


def page(peer: socket.socket, mode: str) -> None:
    if mode == "slow":
        time.sleep(30)
    elif mode == "garbage":
        peer.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + b"\xff\x00vllm:num_requests_running{ NaN nan \n" * 2
        )
    elif mode == "endless":
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            peer.sendall(b"vllm:num_requests_running 1\n" * 1000)
    elif mode != "closing":
        n = next(count)
        form = {"vllm": VLLM, "reborn": REBORN}.get(mode, PROXY)
        old = len(talking) < 2 or next(loaded) < 2
        start, tokens = (1.7e9, 500 + n) if old else (1.7e9 + 60, n)
        words = form.format(waiting=n % 2, queries=1000 * n, hits=400 * n, n=n, start=start, tokens=tokens)
        text = words.encode()
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(text), text))
    peer.close()


def relay(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()


def serve(peer: socket.socket, upstream: int, mode: str) -> None:
    try:
        first = peer.recv(1 << 16)
        if first.startswith(b"GET /metrics?"):
            page(peer, mode)
            return
        other = socket.create_connection(("127.0.0.1", upstream))
        for sock in (peer, other):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talking.add(threading.current_thread())
        other.sendall(first)
        threading.Thread(target=relay, args=(other, peer), daemon=True).start()
        relay(peer, other)
    except OSError:
        peer.close()
    finally:
        talking.discard(threading.current_thread())


def main() -> None:
    upstream, mode, parent = int(sys.argv[1]), sys.argv[2], os.getppid()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1)
        print(f"listening {listener.getsockname()[1]}", flush=True)
        while os.getppid() == parent:  # never outlives the test
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            peer.settimeout(None)
            threading.Thread(target=serve, args=(peer, upstream, mode), daemon=True).start()


if __name__ == "__main__":
    main()
