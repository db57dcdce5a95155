"""Engines behind one protocol: vLLM, services that speak OpenAI's HTTP API, stored samples; and what they run on."""
