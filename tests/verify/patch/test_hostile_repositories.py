"""Repositories of strangers: whatever lies in one, git runs nothing of it, and the tree is the one of the commit."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from verify.patch import source
from verify.patch.snapshots import check_source, clone_snapshot
from verify.patch.workspace import PatchUnavailable

ABSENT = "3" * 40


def git(folder: Path, *words: str, given: str = "") -> str:
    names = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *words], input=given, text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


class Lure:
    """A repository with one commit, and a file that exists once anything of the repository was run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ran = folder / "stranger", folder / "ran"
        self.folder.mkdir()
        git(self.folder, "init", "--quiet")
        (self.folder / "calc.py").write_text("right\n")
        (self.folder / ".gitattributes").write_text(
            "* filter=evil diff=evil merge=evil ident working-tree-encoding=UTF-8\n"
        )
        self.base = self.commit()

    def commit(self) -> str:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "-m", "x")
        return git(self.folder, "rev-parse", "HEAD")

    @property
    def command(self) -> str:
        return f"sh -c 'touch {self.ran}; exec false'"

    def config(self, **pairs: str) -> None:
        for name, value in pairs.items():
            git(self.folder, "config", name.replace("__", "."), value)

    def config_file(self) -> Path:
        return self.folder / ".git" / "config"


@pytest.fixture
def lure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lure:
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path / "cache"))
    return Lure(tmp_path)


def promisor(lure: Lure) -> None:
    url = lure.folder.parent / "nowhere"
    lure.config(remote__o__url=str(url), remote__o__promisor="true", remote__o__uploadpack=lure.command)
    lure.config(
        remote__o__partialclonefilter="blob:none", extensions__partialClone="o", core__repositoryformatversion="1"
    )


def protocol_ext(lure: Lure) -> None:
    promisor(lure)
    lure.config(protocol__ext__allow="always", protocol__allow="always", remote__o__url=f"ext::{lure.command}")


def ssh(lure: Lure) -> None:
    promisor(lure)
    lure.config(core__sshCommand=lure.command, remote__o__url="ssh://nowhere/x", core__gitProxy=lure.command)


def monitors(lure: Lure) -> None:
    lure.config(core__fsmonitor=lure.command, core__pager=lure.command, core__editor=lure.command)
    lure.config(core__alternateRefsCommand=lure.command, uploadpack__packObjectsHook=lure.command)
    lure.config(credential__helper=f"!{lure.command}", gpg__program=lure.command, diff__external=lure.command)


def hooks(lure: Lure) -> None:
    folder = lure.folder / ".git" / "hooks"
    folder.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change", "fsmonitor-watchman"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {lure.ran}\n")
        (folder / name).chmod(0o755)
    lure.config(core__hooksPath=str(folder))


def filters(lure: Lure) -> None:
    for key in ("smudge", "clean", "process"):
        lure.config(**{f"filter__evil__{key}": lure.command})
    lure.config(filter__evil__required="true", diff__evil__textconv=lure.command, merge__evil__driver=lure.command)
    attributes = lure.folder / ".git" / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("* filter=evil\n")


def settings_elsewhere(lure: Lure) -> None:
    pipe = lure.folder / ".git" / "pipe"
    os.mkfifo(pipe)  # who opens it waits for ever
    lure.config_file().write_text(lure.config_file().read_text() + f"[include]\n\tpath = {pipe}\n")


def worktree_settings(lure: Lure) -> None:
    lure.config(extensions__worktreeConfig="true", core__repositoryformatversion="1", core__worktree="/")
    (lure.folder / ".git" / "config.worktree").write_text(f'[core]\n\tfsmonitor = "{lure.command}"\n')


def replaced(lure: Lure) -> None:
    (lure.folder / "calc.py").write_text("wrong\n")
    other = lure.commit()
    git(lure.folder, "replace", lure.base, other)


def grafted(lure: Lure) -> None:
    (lure.folder / ".git" / "info").mkdir(exist_ok=True)
    (lure.folder / ".git" / "info" / "grafts").write_text(f"{lure.base} {ABSENT}\n")
    (lure.folder / ".git" / "shallow").write_text("not a hash\n")


def endless_pointers(lure: Lure) -> None:
    info = lure.folder / ".git" / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text("/\n/etc\n../objects\n.\n\0\n/dev/zero\n" + "x" * 5000 + "\n")


def broken_settings(lure: Lure) -> None:
    lure.config_file().write_text("[[[ no settings\n")


HOSTILE = (
    *(promisor, protocol_ext, ssh, monitors, hooks, filters, settings_elsewhere, worktree_settings, replaced, grafted),
    *(endless_pointers, broken_settings),
)


@pytest.mark.parametrize("poison", HOSTILE)
def test_nothing_of_a_repository_runs_and_the_tree_is_right(lure: Lure, poison: Callable[[Lure], None]) -> None:
    poison(lure)
    with pytest.raises(PatchUnavailable, match="it has no commit 3333"):
        check_source(str(lure.folder), ABSENT)
    with pytest.raises(PatchUnavailable, match="it has no commit 3333"):
        clone_snapshot(str(lure.folder), ABSENT)
    check_source(str(lure.folder), lure.base)
    made = clone_snapshot(str(lure.folder), lure.base)
    assert (made / "tree" / "calc.py").read_text() == "right\n"
    assert "remote" not in (made / "git" / "config").read_text()
    assert not lure.ran.exists()


def test_submodules_are_not_fetched(lure: Lure) -> None:
    (lure.folder / ".gitmodules").write_text(
        f'[submodule "s"]\n\tpath = s\n\turl = ext::{lure.command}\n\tupdate = !{lure.command}\n'
    )
    git(lure.folder, "update-index", "--add", "--cacheinfo", f"160000,{ABSENT},s")
    git(lure.folder, "add", ".gitmodules")
    git(lure.folder, "commit", "--quiet", "-m", "s")
    made = clone_snapshot(str(lure.folder), git(lure.folder, "rev-parse", "HEAD"))
    assert list((made / "tree" / "s").iterdir()) == [] and not lure.ran.exists()


def test_other_shapes_of_a_repository_are_read(lure: Lure, tmp_path: Path) -> None:
    borrowed, linked, work = tmp_path / "borrowed", tmp_path / "linked", tmp_path / "work"
    git(tmp_path, "clone", "--quiet", "--shared", str(lure.folder), str(borrowed))
    git(tmp_path, "clone", "--quiet", "--bare", str(borrowed), str(tmp_path / "bare"))
    linked.mkdir()
    (linked / ".git").symlink_to(borrowed / ".git")
    git(lure.folder, "worktree", "add", "--quiet", "--detach", str(work))
    for folder in (borrowed, linked, work, tmp_path / "bare"):
        check_source(str(folder), lure.base)
        assert b"PACK" in source.find_source(str(folder)).read_pack(lure.base)[:4]


def no_pipe(lure: Lure) -> None:
    (lure.folder / ".git").rename(lure.folder / "away")
    os.mkfifo(lure.folder / ".git")


def looped(lure: Lure) -> None:
    (lure.folder / ".git").rename(lure.folder / "away")
    (lure.folder / ".git").symlink_to(lure.folder / ".git")


def objects_elsewhere(lure: Lure) -> None:
    (lure.folder / ".git" / "objects").rename(lure.folder / "away")
    (lure.folder / ".git" / "objects").symlink_to("/etc")


def large_pointer(lure: Lure) -> None:
    (lure.folder / ".git").rename(lure.folder / "away")
    (lure.folder / ".git").write_bytes(b"gitdir: " + b"x" * 100_000)


@pytest.mark.parametrize("poison", [no_pipe, looped, objects_elsewhere, large_pointer])
def test_a_repository_of_another_shape_is_refused_in_one_line(lure: Lure, poison: Callable[[Lure], None]) -> None:
    poison(lure)
    with pytest.raises(PatchUnavailable) as refused:
        check_source(str(lure.folder), lure.base)
    assert "\n" not in str(refused.value) and "stranger" in str(refused.value)


def test_a_tree_that_unfolds_without_end_is_refused(lure: Lure) -> None:
    blob = git(lure.folder, "hash-object", "-w", "--stdin", given="x")
    tree = git(lure.folder, "mktree", given="".join(f"100644 blob {blob}\tf{n}\n" for n in range(10)))
    for _ in range(9):  # 10^10 files
        tree = git(lure.folder, "mktree", given="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)))
    bomb = git(lure.folder, "commit-tree", tree, "-m", "x")
    with pytest.raises(PatchUnavailable, match="too large or damaged; allowed: 500,000 files"):
        clone_snapshot(str(lure.folder), bomb)


def test_git_reads_a_repository_without_network_and_without_files_of_its_user(
    lure: Lure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script itself, replaced by one that looks around: what git could reach, if it were taken over."""
    seen = source.Source("s", objects=(str(lure.folder / ".git" / "objects"),))
    looked = seen._run(
        "id -u >&3; ls -A / /root /home >&3 2>/dev/null; cat /proc/net/dev /etc/passwd >&3; : >/etc/x || :", 1 << 20
    )
    user, *names = looked.output.split()
    assert user == ("65534" if os.geteuid() == 0 else str(os.geteuid()))
    assert "root" not in names and "home" not in names and "lo:" not in names
