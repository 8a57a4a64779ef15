"""Dockerfile and compose.yaml, as far as they can be judged without a container engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from dbsync.cli.main import cli
from dbsync.cli.parameters import given
from dbsync.cli.session import all_variables
from dbsync.config import ScheduleSettings
from tests.conftest import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICE: dict[str, Any] = COMPOSE["services"]["dbsync"]
(RECIPE,) = re.findall(r"^```yaml\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.S | re.M)
GUIDE = (REPOSITORY / "docs" / "container.md").read_text()


def plain(value: str) -> str:
    """Return a value as compose passes it on where no variable of its own is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$")


def test_the_dockerfile_has_no_finding() -> None:
    """hadolint, with its own shellcheck rules, finds nothing that is not explained in place."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_last_stage_has_no_compiler_and_no_root() -> None:
    """What builds stays in the first stage; the program runs as a user by number."""
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert not re.search(r"\b(gcc|g\+\+|build-essential|make|-dev)\b", last)
    assert re.search(r"^USER [1-9]\d*$", last, re.MULTILINE)
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert re.search(r'^HEALTHCHECK .*CMD \["dbsync", "health"\]$', last, re.MULTILINE)
    assert 'ENTRYPOINT ["dbsync"]' in last


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    """Each source of COPY is let through by .dockerignore, and nothing else is."""
    lines = (REPOSITORY / ".dockerignore").read_text().split()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()[:-1]}
    assert "*" in lines
    assert sources == allowed
    assert all((REPOSITORY / source).exists() for source in sources)


def test_every_variable_is_known() -> None:
    """No DBSYNC_ variable in Dockerfile, compose.yaml, guide or recipe is misspelt."""
    known = all_variables(cli)
    text = DOCKERFILE + (REPOSITORY / "compose.yaml").read_text() + GUIDE + RECIPE
    used = set(re.findall(r"\bDBSYNC_[A-Z0-9_]*[A-Z0-9]\b", text))
    assert len(used) > 15
    assert used - known == set()


def test_everything_that_is_named_is_defined() -> None:
    """Secrets, volumes and services of compose.yaml refer to what is there."""
    for name, service in COMPOSE["services"].items():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert volumes <= set(COMPOSE["volumes"]), name
        for key, value in service.get("environment", {}).items():
            if str(value).startswith("/run/secrets/"):
                assert Path(value).name in service["secrets"], key
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].removeprefix("./") in GUIDE


def test_no_secret_stands_in_the_environment() -> None:
    """Passwords come as files only."""
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|WEBHOOK|URL")
    for service in COMPOSE["services"].values():
        for key in service.get("environment", {}):
            assert not secret.search(key) or key.endswith("_FILE"), key


@pytest.mark.parametrize("document", ["compose.yaml", "README.md"])
def test_the_settings_hold_together(
    document: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What compose.yaml and the recipe set is a complete and consistent configuration."""
    service = (
        SERVICE if document == "compose.yaml" else yaml.safe_load(RECIPE)["services"]["backup"]
    )
    (tmp_path / "db_password").write_text("s3cret\n")
    (tmp_path / "webhook").write_text("https://hooks.example/T0ken\n")
    monkeypatch.chdir(tmp_path)
    for key, value in service["environment"].items():
        monkeypatch.setenv(key, plain(str(value)).replace("/run/secrets/", f"{tmp_path}/"))
    command = cli.commands["schedule"]
    with command.make_context("schedule", [], parent=click.Context(cli)) as context:
        settings = ScheduleSettings.of(given(context))
    assert settings.policy is not None
    assert settings.policy.keep_daily == 7
    if document == "README.md":
        assert settings.webhook == "https://hooks.example/T0ken"
        return
    assert settings.export.url == "postgresql://shop:s3cret@db/shop"
    assert settings.export.archive == "s3://backups/shop/"
    assert settings.cron == "0 2 * * *"
    assert settings.export.storage_options.s3_endpoint == "http://store:9000"
    assert settings.rehearse_every == 7
