"""The files of a revision are what a checkout would have, and the repository is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otcache.exceptions import ConfigurationError
from otcache.regression._ab.git import Repository
from tests.regression.ab.project import Project


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_a_revision_is_there_while_it_is_used(project: Project, scratch: Path) -> None:
    project.commit("old", work="1")
    project.commit("new", work="2", more__deep="3")

    with Repository.at(project.top).files("old") as old, Repository.at(project.top).files("new") as new:
        assert (names(old), (old / "work.py").read_text()) == (["work.py"], "1")
        assert (names(new), (new / "work.py").read_text()) == (["more", "more/deep.py", "work.py"], "2")

    assert list(scratch.iterdir()) == []


def test_the_repository_is_left_as_it_was(project: Project) -> None:
    project.commit("old", work="1")
    project.write(work="changed", new="untracked")
    before = project.git("status", "--porcelain"), project.git("worktree", "list"), project.git("stash", "list")

    with Repository.at(project.top).files("old"):
        during = project.git("status", "--porcelain"), project.git("worktree", "list"), project.git("stash", "list")

    assert during == before


def test_links_and_what_archives_leave_out_are_there(project: Project) -> None:
    (project.top / ".gitattributes").write_text("work.py export-ignore\n")
    (project.top / "outside").symlink_to("/etc/hostname")
    (project.top / "inside").symlink_to("work.py")
    project.commit("old", work="1")

    with Repository.at(project.top).files("old") as old:
        assert os.readlink(old / "outside") == "/etc/hostname"
        assert (old / "inside").read_text() == "1"


def test_a_submodule_is_an_empty_directory(project: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    other.commit("first", part="1")
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.top), "vendored")
    project.commit("old", work="1")

    with Repository.at(project.top).files("old") as old:
        assert names(old) == [".gitmodules", "vendored", "work.py"]


def test_many_files_are_no_trouble(project: Project) -> None:
    for number in range(500):
        (project.top / f"{number}.txt").write_text("x" * 1000)
    project.commit("old")

    with Repository.at(project.top).files("old") as old:
        assert len(names(old)) == 500


def test_a_directory_in_a_repository_stands_for_itself(project: Project) -> None:
    project.commit("old", services__shop__work="1", elsewhere="2")

    with Repository.at(project.top / "services").files("old") as old:
        assert names(old) == ["shop", "shop/work.py"]


def test_a_worktree_will_do(project: Project, tmp_path: Path) -> None:
    project.commit("old", work="1")
    project.git("worktree", "add", "--quiet", str(tmp_path / "second"), "-b", "second")

    with Repository.at(tmp_path / "second").files("main") as old:
        assert names(old) == ["work.py"]


def test_what_git_tells_a_hook_is_not_taken_for_an_answer(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.commit("old", work="1")
    other = Project(tmp_path / "other")
    for name in ("GIT_DIR", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(other.top / ".git" / "index"))

    with Repository.at(project.top).files("old") as old:
        assert names(old) == ["work.py"]


@pytest.mark.parametrize("name", ["nowhere", "", "--help", "HEAD~5", "old:work.py"])
def test_a_revision_that_is_not_there_is_told(project: Project, scratch: Path, name: str) -> None:
    project.commit("old", work="1")

    with pytest.raises(ConfigurationError) as caught, Repository.at(project.top).files(name):
        pass

    assert str(caught.value).startswith(f"revision {name!r} can't be had: ")
    assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_a_directory_without_git_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a git repository"):
        Repository.at(tmp_path)


def test_a_directory_that_the_revision_lacks_is_told(project: Project) -> None:
    project.commit("old", work="1")
    project.write(services__work="1")

    with (
        pytest.raises(ConfigurationError, match="there is no directory 'services' in "),
        Repository.at(project.top / "services").files("old"),
    ):
        pass


def test_a_machine_without_git_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ConfigurationError, match="git can't be started: No such file or directory"):
        Repository.at(project.top)
