"""The conformance suite: what every method must satisfy, checked on tiny models in seconds."""
