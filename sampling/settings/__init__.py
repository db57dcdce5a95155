"""Models and sampling settings: they decide the distribution of samples, and are part of a run's identity."""

from sampling.settings.adaptive import Adaptive
from sampling.settings.drawing import SamplingSettings, StopString, StructuredOutputs, TaskSampling
from sampling.settings.model import ModelSpec, settings_on, unread_key

__all__ = [
    "Adaptive",
    "ModelSpec",
    "SamplingSettings",
    "StopString",
    "StructuredOutputs",
    "TaskSampling",
    "settings_on",
    "unread_key",
]
