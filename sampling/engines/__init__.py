"""Engines behind one protocol (vLLM, services with OpenAI's HTTP API, stored samples), their models and devices."""
