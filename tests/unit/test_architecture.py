"""Who may import what, and what nothing is called. Reads the source; imports none of it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if (folder / "__init__.py").is_file())
OWN = ("services", "shared", "deploy", "tests")
DOMAIN_MAY = ("shared.core", "shared.contracts", "shared.languages")
DOMAIN_MAY_NOT = frozenset(
    # Standard library that does I/O, or brings a clock or randomness of its own.
    "asyncio asyncore builtins concurrent ctypes dbm fcntl fileinput ftplib getpass glob http imaplib importlib io "
    "logging mmap multiprocessing os pathlib pickle pkgutil platform poplib pty queue random resource runpy secrets "
    "select selectors shelve shutil signal site smtplib socket socketserver sqlite3 ssl subprocess sys sysconfig "
    "syslog tempfile threading time tkinter tty urllib venv webbrowser winreg wsgiref xmlrpc zipapp zipfile "
    "zoneinfo".split()
)
IMPURE = re.compile(
    r"(datetime\.)?(datetime\.(now|utcnow|today)|date\.today)|(uuid\.)?uuid[14]|open|print|input|exec|eval|breakpoint"
)
"""Calls that bring a clock, randomness or I/O into a function."""
FORBIDDEN_NAMES = re.compile(r"(^|[_-])(utils?|commons?|helpers?|base|managers?|misc)($|[_-])", re.IGNORECASE)
FORBIDDEN_CLASSES = re.compile(r"(Utils?|Helpers?|Common|Manager|Misc)$|^Base[A-Z]|[a-z]Base$")


def sources(*folders: str) -> list[Path]:
    return sorted(
        file for folder in folders for file in (ROOT / folder).rglob("*.py") if "__pycache__" not in file.parts
    )


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(source: str, module: str, *, package: bool = False) -> set[str]:
    """Every module that a source names: by any form of import, also within functions and under another name, by
    `importlib.import_module("…")` or `__import__("…")`, or as the text of a module's name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(node, module, package)
            found.add(origin)
            found |= {f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\A(?:services|shared|deploy)(?:\.\w+)+\Z", node.value))
        elif isinstance(node, ast.JoinedStr):
            found |= _of_text(node)
        elif isinstance(node, ast.Call) and _imports(node.func):
            found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def _absolute(node: ast.ImportFrom, module: str, package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    above = parts[: len(parts) - node.level + package]
    return ".".join([*above, *([node.module] if node.module else [])])


def _of_text(text: ast.JoinedStr) -> set[str]:
    """`f"services.{name}.app"` names a service unknown here: it counts as all of them."""
    first = text.values[0] if text.values else None
    starts = isinstance(first, ast.Constant) and str(first.value).startswith(("services.", "deploy."))
    return {str(first.value).rstrip(".")} if starts and isinstance(first, ast.Constant) else set()


def _imports(function: ast.expr) -> bool:
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    return name in ("import_module", "__import__")


def imports_of(file: Path) -> Iterator[str]:
    yield from imported(file.read_text(encoding="utf-8"), module_of(file), package=file.name == "__init__.py")


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def domain_sources(service: str) -> list[Path]:
    return sorted(
        [*(ROOT / "services" / service).glob("domain*.py"), *(ROOT / "services" / service).rglob("domain*/**/*.py")]
    )


def domain_problems(module: str, service: str) -> bool:
    """Whether a domain module of the service may not import this."""
    top = module.partition(".")[0]
    if top in OWN:
        own = within(module, f"services.{service}.domain") or module in ("services", f"services.{service}")
        return not (own or within(module, *DOMAIN_MAY) or any(may.startswith(module + ".") for may in DOMAIN_MAY))
    return top not in sys.stdlib_module_names or top in DOMAIN_MAY_NOT


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_imports_no_io(service: str) -> None:
    problems = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in domain_sources(service)
        for module in imports_of(file)
        if domain_problems(module, service)
    ]
    assert problems == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_uses_no_clock_no_randomness_and_no_file(service: str) -> None:
    problems = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for file in domain_sources(service)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and IMPURE.fullmatch(ast.unparse(node.func))
    ]
    assert problems == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_no_other_service_and_nothing_that_runs_it(service: str) -> None:
    others = [f"services.{other}" for other in SERVICES if other != service]
    problems = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sources(f"services/{service}")
        for module in imports_of(file)
        if within(module, *others, "deploy", "tests", "services.registry", "services.declared", "services.*")
    ]
    assert problems == []


def test_shared_imports_no_service_and_nothing_that_runs_one() -> None:
    problems = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sources("shared")
        for module in imports_of(file)
        if within(module, "services", "deploy", "tests")
    ]
    assert problems == []


def test_production_imports_no_test() -> None:
    problems = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sources("services", "shared", "deploy")
        for module in imports_of(file)
        if within(module, "tests", "pytest", "hypothesis", "unittest")
    ]
    assert problems == []


def test_the_core_library_is_the_bottom_and_contracts_stand_on_it() -> None:
    problems = [
        f"{file.relative_to(ROOT)} imports {module}"
        for folder, may in (("core", ("shared.core",)), ("contracts", ("shared.core", "shared.contracts")))
        for file in sources(f"shared/{folder}")
        for module in imports_of(file)
        if within(module, "shared") and not within(module, *may) and module != "shared"
    ]
    assert problems == []


DRIVERS = {
    "asyncpg": ("shared/shell/postgres", "shared/core/ids.py"),  # the ids: only its UUID type, for speed
    "alembic": ("shared/shell/postgres",),
    "aiokafka": ("shared/shell/kafka",),
    "cryptography": ("shared/shell/sealer.py",),
    "faust": ("shared/shell/faust",),
    "aiohttp": ("shared/shell/http",),
    "prometheus_client": ("shared/shell/observability", "shared/shell/http"),
    "opentelemetry": ("shared/shell/observability",),
}
"""Which parts of `shared` may know a driver: everything else knows its port."""


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_is_known_to_its_own_part_alone(driver: str) -> None:
    users = {
        file.relative_to(ROOT).as_posix()
        for file in sources("shared")
        if any(within(module, driver) for module in imports_of(file))
    }
    assert users, "it has no user: take it off the list"
    assert sorted(user for user in users if not user.startswith(DRIVERS[driver])) == []


def test_a_port_imports_no_implementation() -> None:
    """Ports know the core library and each other."""
    problems = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sources("shared/shell/ports")
        for module in imports_of(file)
        if within(module, "shared.shell") and not within(module, "shared.shell.ports")
    ]
    assert problems == []


def test_one_module_knows_the_bits_of_an_id() -> None:
    bits = re.compile(r"(<<|>>) ?(62|76|80)\b")
    users = [
        file.relative_to(ROOT).as_posix() for file in sources(*OWN) if bits.search(file.read_text(encoding="utf-8"))
    ]
    assert users == ["shared/core/ids.py"]


DEPLOY_MAY: dict[str, frozenset[str]] = {
    "images": frozenset(),
    "settings": frozenset(),
    "worker": frozenset({"settings"}),
    "documents": frozenset(),
    "client": frozenset({"settings"}),
    "sandboxes": frozenset({"client"}),
    "check": frozenset({"settings", "client"}),
    "republish": frozenset({"check"}),
    "restore": frozenset({"check"}),
    "devstack": frozenset({"client", "sandboxes", "settings", "worker"}),
    "demo": frozenset({"client", "sandboxes", "devstack", "settings"}),
    "simulation": frozenset({"check"}),
}
"""What each part of `deploy` may import of the others; `cli` may import all."""


@cache
def modules() -> dict[str, Path]:
    return {module_of(file): file for file in sources("services", "shared", "deploy")}


@cache
def imported_modules(module: str) -> frozenset[str]:
    """Modules of the project that a module names."""
    found = set()
    for name in imports_of(modules()[module]):
        parts = name.split(".")
        above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        found.add(next((one for one in above if one in modules()), ""))
    return frozenset(found - {"", module})


def part_of(module: str) -> str:
    """A module's package, or the module itself where its package has others within it."""
    packages = {name for name, file in modules().items() if file.name == "__init__.py"}
    package = module if module in packages else module.rpartition(".")[0]
    return module if any(name.startswith(f"{package}.") for name in packages) else package


def cycles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """A way round for each node that can be reached from itself."""
    found = []
    for start in sorted(graph):
        ways = {name: [start, name] for name in graph[start]}
        todo = list(ways)
        while todo and start not in ways:
            name = todo.pop()
            for further in set(graph.get(name, ())) - ways.keys():
                ways[further] = [*ways[name], further]
                todo.append(further)
        if start in ways:
            found.append(ways[start])
    return found


def test_packages_import_each_other_in_one_direction() -> None:
    graph: dict[str, set[str]] = {part_of(module): set() for module in modules()}
    for module in modules():
        graph[part_of(module)] |= {part_of(name) for name in imported_modules(module)} - {part_of(module)}
    assert cycles(graph) == []


def test_files_of_the_simulation_import_each_other_in_one_direction() -> None:
    files = [module for module in modules() if within(module, "deploy.simulation")]
    assert cycles({module: {name for name in imported_modules(module) if name in files} for module in files}) == []


def test_the_parts_of_deploy_import_in_one_direction() -> None:
    problems = []
    for module in modules():
        if within(module, "deploy") and module != "deploy" and not within(module, "deploy.cli"):
            part = module.split(".")[1]
            others = {name.split(".")[1] for name in imported_modules(module) if name.startswith("deploy.")}
            problems += [f"{module} imports deploy.{other}" for other in others - {part} - DEPLOY_MAY[part]]
    assert problems == []


def test_nothing_is_called_utils() -> None:
    files = sources("services", "shared", "deploy", "tests")
    folders = {folder for file in files for folder in file.relative_to(ROOT).parents}
    named = [*(file.stem for file in files), *(folder.name for folder in folders)]
    assert [name for name in named if FORBIDDEN_NAMES.search(name)] == []
    classes = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for file in sources("services", "shared", "deploy")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and FORBIDDEN_CLASSES.search(node.name)
    ]
    assert classes == []


class TestTheJudge:
    """Each of these ways to break a rule must be seen."""

    @pytest.mark.parametrize(
        ("source", "module"),
        [
            ("import services.payments.app as x", "services.payments.app"),
            ("from services.payments import app", "services.payments.app"),
            ("from services import payments as p", "services.payments"),
            ("from ..payments.domain import payment", "services.payments.domain"),
            ("from .. import payments", "services.payments"),
            ("def f():\n    import services.payments", "services.payments"),
            ("if TYPE_CHECKING:\n    from services.payments import app", "services.payments.app"),
            ("import importlib\nimportlib.import_module('services.payments')", "services.payments"),
            ("from importlib import import_module as i\ni('services.payments.app')", "services.payments.app"),
            ("__import__('services.payments')", "services.payments"),
            ("name = 'services.payments.app'", "services.payments.app"),
        ],
    )
    def test_it_sees_every_way_to_import(self, source: str, module: str) -> None:
        assert module in imported(source, "services.checkout.app")

    def test_it_sees_a_name_that_is_put_together(self) -> None:
        assert "services" in imported("import_module(f'services.{name}.app')", "shared.shell.worker")

    def test_it_sees_relative_imports_of_a_package(self) -> None:
        assert "services.checkout.storage" in imported("from . import storage", "services.checkout", package=True)
        assert "services.checkout.storage" in imported("from . import storage", "services.checkout.app")

    @pytest.mark.parametrize(
        "module",
        [
            "sqlalchemy", "aiohttp", "aiokafka", "stripe", "structlog", "os", "os.path", "asyncio", "socket", "time",
            "random", "logging", "pathlib", "urllib.request", "importlib", "services.checkout.storage",
            "services.payments.domain", "shared.settings", "shared.shell.postgres.store",
            "shared.shell.http.outbound", "deploy.worker", "shared.shell",
        ],
    )  # fmt: skip
    def test_a_domain_may_not(self, module: str) -> None:
        assert domain_problems(module, "checkout")

    @pytest.mark.parametrize(
        "module",
        [
            "dataclasses", "datetime", "enum", "hashlib", "json", "decimal", "collections.abc", "shared.core.money",
            "shared.contracts.checkout", "shared.core", "services.checkout.domain.order", "shared.languages",
        ],
    )  # fmt: skip
    def test_a_domain_may(self, module: str) -> None:
        assert not domain_problems(module, "checkout")

    @pytest.mark.parametrize(
        ("graph", "found"),
        [
            ({"a": ["b"], "b": ["c"], "c": []}, []),
            ({"a": ["b"], "b": ["a"]}, [["a", "b", "a"], ["b", "a", "b"]]),
            ({"a": ["b"], "b": ["c"], "c": ["b"]}, [["b", "c", "b"], ["c", "b", "c"]]),
        ],
    )
    def test_it_sees_cycles(self, graph: dict[str, list[str]], found: list[list[str]]) -> None:
        assert cycles(graph) == found

    @pytest.mark.parametrize("name", ["utils", "order_utils", "helpers", "common", "base", "data_manager"])
    def test_it_knows_the_names(self, name: str) -> None:
        assert FORBIDDEN_NAMES.search(name)
        assert not FORBIDDEN_NAMES.search(f"{name}less")


def test_every_consumer_is_made_in_one_place() -> None:
    """So that each of them reads committed transactions only, and bears what cannot be parsed."""
    makers = [
        path.relative_to(ROOT).as_posix()
        for folder in ("shared", "services", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if "AIOKafkaConsumer(" in path.read_text()
    ]
    assert makers == ["shared/shell/kafka/source.py"]


def test_requests_are_read_in_one_place() -> None:
    """So that a route reads only what it declares, and nothing is missing in the OpenAPI documents."""
    by_hand = re.compile(r"request\.(query|headers|content|read|text|json|post|multipart|cookies|rel_url|raw_path)\b")
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("shared", "services")
        for path in (ROOT / folder).rglob("*.py")
        if by_hand.search(path.read_text())
    }
    assert found <= {f"shared/shell/http/{name}.py" for name in ("access", "application", "limits", "requests", "web")}
    assert by_hand.search("request.query.get('store')") and not by_hand.search("request.match_info")
