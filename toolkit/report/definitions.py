"""What each word in a report means, with its formula. Printed in every report, so that no figure is ambiguous."""

from __future__ import annotations

from toolkit.types import BenchResult, CostReport

Definition = tuple[str, str, str]
"""Term, formula, explanation."""

LATENCY: tuple[Definition, ...] = (
    (
        "First token (TTFT)",
        "t(first token) − t(sent)",
        "The first token of any kind, reasoning and tool calls too. With a fixed arrival rate time counts from when "
        "the request was due, so waiting for a free place is in it.",
    ),
    (
        "Gap between tokens (ITL)",
        "t(token i+1) − t(token i)",
        "Every gap of every request in one flat list, so a single stall shows in p99 and in the longest.",
    ),
    (
        "Time per output token (TPOT)",
        "(t(last) − t(first)) / (N − 1)",
        "One value a request, its mean pace after the first token.",
    ),
    ("Whole answer (E2E)", "t(last token) − t(sent)", "From the same start as the first token."),
    (
        "Tokens/s, each user",
        "median of (N − 1) / (E2E − TTFT)",
        "The speed at which one user sees text appear.",
    ),
    (
        "Tokens/s, all users",
        "Σ tokens / (last end − first send)",
        "Tokens as the server's usage counts them; counted events where it sends none.",
    ),
    (
        "Goodput",
        "tokens of good requests / wall time",
        "Good = completed and within every bound of the service level; without one, every completed request.",
    ),
    ("p50, p95, p99", "nearest rank", "Exact, from every request's own row, never from averages of averages."),
    (
        "Client lag",
        "t(read by us) − t(received by the kernel)",
        "How late this tester itself was; where it grows, the level is not valid.",
    ),
)

EMBEDDING: tuple[Definition, ...] = (
    (
        "Answer in one piece (E2E)",
        "t(end of reply) − t(sent)",
        "An embedding has no first token and no gaps. With a fixed arrival rate time counts from when it was due.",
    ),
    (
        "Input tokens/s",
        "Σ input tokens / (last end − first send)",
        "As the server's usage counts them.",
    ),
)

KNEE: tuple[Definition, ...] = (
    (
        "Knee",
        "greatest throughput / latency",
        "Below it capacity lies idle, above it users wait longer for little more throughput.",
    ),
)

SERVER: tuple[Definition, ...] = (
    (
        "Server",
        "its own metrics page, twice a second",
        "Means and maxima while the load was measured; counts are what was added meanwhile.",
    ),
)

ENERGY: tuple[Definition, ...] = (
    (
        "Joules per token",
        "energy of the load / (input + output tokens)",
        "Of the GPUs, by their own energy counter, else the integral of their power; the host's processor is not in "
        "it. Without a GPU, of the processor by its own counter, with everything that ran on the machine.",
    ),
)

COST: tuple[Definition, ...] = (
    (
        "Usage price",
        "machines × $/h / (3,600 × goodput) × 1,000,000",
        "A million tokens, input + output, when the machine is busy all the time.",
    ),
    (
        "Allocation price",
        "(compute + people + other) / million tokens in the month",
        "What you really pay per million at your volume. Compare APIs with this one.",
    ),
    (
        "Replicas",
        "⌈tokens a day / 86,400 × peak ratio / goodput⌉ + spare",
        "Enough for the peak; a month is 730 hours.",
    ),
    ("Utilisation", "mean load / (replicas × goodput)", "The share of what is paid for that is used."),
    (
        "Self-hosting is cheaper",
        "volumes where the month costs less than the API",
        "Replicas come in whole numbers, so this is a staircase and can have gaps.",
    ),
)


def used(result: BenchResult | None, cost: CostReport | None) -> tuple[Definition, ...]:
    """The definitions that this report needs."""
    return (_of_bench(result) if result is not None else ()) + (COST if cost is not None else ())


def _of_bench(result: BenchResult) -> tuple[Definition, ...]:
    shared = tuple(d for d in LATENCY if d[0] in ("Goodput", "p50, p95, p99", "Client lag"))
    found = EMBEDDING + shared if result.endpoint == "embeddings" else LATENCY
    knee = result.search is not None and result.search.knee_level is not None
    seen = any(lv.server and lv.server.source for lv in result.levels)
    drawn = any(lv.energy for lv in result.levels)
    return found + KNEE * knee + SERVER * seen + ENERGY * drawn
