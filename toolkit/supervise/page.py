"""The small status page: one self-contained HTML document."""

from __future__ import annotations

from html import escape

from toolkit.types import Deployment

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.3rem}table{border-collapse:collapse;width:100%}"
    "td{padding:.25rem .75rem .25rem 0;vertical-align:top;border-bottom:1px solid #eee}"
    ".state{font-weight:600}.ready{color:#0a7d32}.fatal,.crash_loop{color:#b00020}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}td{border-color:#333}}"
)


def render(status: Deployment) -> str:
    """HTML of a status, refreshed every five seconds by the browser."""
    rows = [
        ("state", f'<span class="state {escape(status.state)}">{escape(status.state)}</span>'),
        ("model", escape(status.served_name)),
        ("endpoint", f"<code>{escape(status.base_url)}</code>"),
        ("backend", escape(status.backend)),
        ("in flight", f"{status.in_flight} ({status.queued} waiting)"),
        ("up for", _seconds(status.uptime_s)),
        ("last load", _seconds(status.ready_s)),
        ("restarts", str(status.restarts)),
    ]
    if status.reason:
        rows.insert(1, ("because", escape(status.reason)))
    if status.last_exit:
        rows.append(("last exit", escape(f"{status.last_exit.reason} at {status.last_exit.at}")))
    facts = "".join(f"<tr><td>{key}</td><td>{value}</td></tr>" for key, value in rows)
    events = "".join(
        f"<tr><td>{escape(e.at)}</td><td>{escape(e.what)}</td><td>{escape(e.detail)}</td></tr>"
        for e in reversed(status.events)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(status.name)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(status.name)}</h1><table>{facts}</table>"
        f"<h2>Events</h2><table>{events}</table></body></html>"
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 120:
        return f"{value:.1f} s"
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
