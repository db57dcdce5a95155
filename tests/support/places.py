"""Folders that tests read: the repository, its demo, and the real task inputs beside it, which may be missing."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo"
SMALL_MODEL = DEMO / "models" / "small"
TASK_DATA = ROOT.parent / "shared" / "data" / "tasks"
CASES = ROOT.parent / "shared" / "cases"
