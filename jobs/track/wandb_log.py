"""Weights & Biases: one run with a fixed id, its progress as history, its numbers as summary, its curves as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.sweep import WandbSettings
from jobs.track.entries import Entries, TrackedRun

DIGEST = "troop/digest"


class WandbLog:
    """A run of W&B, which is opened when there is something to log."""

    def __init__(self, settings: WandbSettings, run: TrackedRun) -> None:
        self._settings, self._tracked = settings, run
        self._run: Any = None

    @property
    def place(self) -> str:
        """Name of the run at the tracker, for people."""
        return f"wandb {'/'.join(filter(None, (self._settings.entity, self._settings.project, self._tracked.id)))}"

    def progress(self, values: Mapping[str, float]) -> None:
        self._opened().log(dict(values))

    def final(self, entries: Entries) -> None:
        """Logs the entries, unless this very run has them already."""
        if self._run is None and self._marker.is_file() and self._marker.read_text() == entries.digest:
            return
        run = self._opened()
        if run.summary.get(DIGEST) == entries.digest:
            return
        import wandb

        columns = ["model", "task", "k", "value", "low", "high"]
        rows = [[getattr(point, column) for column in columns] for point in entries.curves]
        run.config.update(dict(entries.provenance), allow_val_change=True)
        run.log({"coverage": wandb.Table(columns=columns, data=rows)})
        run.summary.update({**entries.metrics, DIGEST: entries.digest})
        if self._settings.mode == "offline":
            self._marker.write_text(entries.digest)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish(quiet=True)

    @property
    def _folder(self) -> Path:
        return Path(self._settings.dir or ".")

    @property
    def _marker(self) -> Path:
        """File that has the digest of what an offline run holds, which cannot be asked of its own files."""
        return self._folder / "wandb" / f"troop-{self._tracked.id}.digest"

    def _opened(self) -> Any:
        if self._run is None:
            import wandb

            self._folder.mkdir(parents=True, exist_ok=True)
            quiet = {"console": "off", "silent": True}
            private = {"disable_git": True, "save_code": False, "x_disable_meta": True, "x_disable_stats": True}
            self._run = wandb.init(
                project=self._settings.project, entity=self._settings.entity, id=self._tracked.id,
                name=self._tracked.name, mode=self._settings.mode, dir=str(self._folder), resume="allow",
                reinit="create_new", settings=wandb.Settings(**quiet, **private),
            )  # fmt: skip
            self._run.define_metric("progress/*", step_metric="progress/committed")
        return self._run
