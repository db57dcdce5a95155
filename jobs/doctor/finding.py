"""Findings of an examination, one for each thing that was looked at."""

from sampling.validate import Plain

NAMED = 3  # hosts in one line


class Finding(Plain):
    """One thing that was looked at."""

    what: str
    """Name of the thing: `machine`, `glibc`, `GPUs`, `engine`, `sandbox TIER`, `language NAME`, `git`, `Lean`, …"""
    usable: bool
    """True where it can be used."""
    seen: str
    """Version or size that was found, or the reason why it cannot be used."""
    nodes: tuple[str, ...] = ()
    """Host names of the nodes where it was found so, with `--cluster`."""

    def place(self) -> str:
        """Names the nodes, or counts them where they are many."""
        if len(self.nodes) > NAMED:
            return f"{len(self.nodes)} nodes"
        return f"node{'s' if len(self.nodes) > 1 else ''} {', '.join(self.nodes)}"


class Examination(Plain):
    """Everything that `troop doctor` tells; `--json` prints it."""

    findings: tuple[Finding, ...]
    """One entry per thing, in the order of the text."""

    def as_text(self) -> str:
        """Formats one line per finding, marked `ok` or `--`."""
        rows = [("ok" if f.usable else "--", f.what, f.place() if f.nodes else "", f.seen) for f in self.findings]
        whats, places = (max((len(row[column]) for row in rows), default=0) for column in (1, 2))
        return "\n".join(
            f"{mark}  {what:<{whats}}  {f'{place:<{places}}  ' if places else ''}{seen}"
            for mark, what, place, seen in rows
        )
