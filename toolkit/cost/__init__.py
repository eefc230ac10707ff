"""From measured tokens per second to dollars per million tokens: break-even beside APIs, and claims audited."""
