"""How this project is written: words, spelling, names, sizes, and references that lead somewhere.

To ban a word, add it to `BANNED` with its replacement. Identifiers are read as words, too: `was_called_off` and
`CalledOff` both contain "called off".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.contracts import published
from shared.core import Command, Message

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "shared", "deploy", "docs", "examples", "tests")
KINDS = frozenset({".py", ".md", ".txt", ".html", ".yaml", ".toml"})
UNREAD = ("docs/schemas/", "tests/contracts/baseline/", "tests/contracts/golden/", "tests/unit/test_style.py")
"""Generated, frozen, or the list of banned words itself."""

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

BANNED = {
    # Playful, private or archaic words. The field's own words are in docs/glossary.md.
    r"tidings": "timeline events",
    r"call(s|ed|ing)? off": "cancel",
    r"wish(es|ed)?": "request",
    r"strangers?": "another system, an unknown caller",
    r"nobody|somebody|whoever|whosoever": "say who: staff, the customer, no caller, any reader",
    r"(a|the|this) person": "staff, the customer, someone on call",
    r"needs a person|must look": "needs attention",
    r"mend(s|ed|ing)?": "fix",
    r"patience": "timeout",
    r"chance": "rng, probability, randomness",
    r"(?<!new )promises?": "invariant, guarantee",
    r"heard": "reported, apply_report, received",
    r"(?<!in )(?<!no )doubt(s|ed|ful|fully)?": "in doubt, in_doubt, unknown outcome",
    r"(what|whatever) (has |had |will )?(became|become|becomes|come|comes|came) of": "the outcome of",
    r"set(s|ting)? aside": "reserve (stock), park (a message)",
    r"(tak(e|es|en|ing)|took) (it |them |access )?back": "revoke (access), return (codes)",
    r"(giv(e|es|en|ing)|gave) (it |them |money )?back": "refund (money), release (stock, a lease), return",
    r"money (goes|went|gone) back": "refund",
    r"beside": "next to, along with; other_states",
    r"anew": "again, from the start",
    r"(of|to) (ours|yours|theirs)": "our, your, their",
    r"(put|found|not) right": "fix; valid, invalid",
    r"mountains? of|worked off": "a backlog, processed",
    r"in vain|stood still|throw each other": "without success, hung, evict",
    r"plant(s|ed|ing)?|relent(s|ed)?": "inject, clear (a fault); mutant",
    r"weather|mischief|ordeals?|turnstiles?": "fault profile, nemesis, fault scenario, advisory lock",
    r"postings?": "webhook delivery",
    r"him|his|he": "they, their",
    # One spelling, the British one.
    r"canceled|canceling|cancelation": "cancelled, cancelling, cancellation",
    r"fulfills?": "fulfil",
    r"authoriz(e|es|ed|ing)|(?-i:authorization)": "authorise, authorisation",
    r"(organ|recogn|normal|initial|synchron|minim|maxim|optim|summar|priorit|custom|real)iz(e|es|ed|ing|ation)": "-ise",
    r"behaviors?|neighbors?|favorites?|labeled|modeled|signaled": "-our, -lled",
}

LEGITIMATE = {
    "CHANGELOG.md": ("chance", "doubtful", "nobody"),  # in former names
    "deploy/devstack/postgres.py": ("nobody",),  # an account of Unix
    "deploy/kubernetes/scaling/": ("behavior",),  # a field of Kubernetes
    "services/fulfillment/domain/game_console.py": ("normalize",),  # a function of Python
    "services/staff/people/passwords.py": ("normalize",),  # likewise
    "services/staff/people/open_id.py": ("authorization",),  # a field of OpenID Connect, and a header
    "tests/integration/test_staff_open_id.py": ("authorize",),
    # Stripe's own words and values that stand on the wire.
    "deploy/sandboxes/stripe/": ("canceled", "authorized", "authorization", "fulfill", "cancelation"),
    "deploy/simulation/stripe_books.py": ("canceled",),
    "docs/http/": ("authorized",),
    "docs/messages/": ("canceled", "authorized"),
    "docs/operations.md": ("canceled",),
    "services/payments/README.md": ("canceled",),
    "services/payments/gateways/": ("canceled", "authorized"),
    "tests/contracts/test_contracts.py": ("canceled",),
    "tests/contracts/test_stripe_conformance.py": ("canceled", "authorized"),
    "tests/fuzz/": ("canceled",),
    "tests/integration/": ("canceled", "authorized", "authorization"),
    "shared/contracts/examples/": ("canceled",),
    "shared/contracts/text.py": ("normalized",),  # a function of Python's
    "shared/contracts/values.py": ("authorized",),
}

WITHIN_NOTIFICATIONS = {r"threads?": "notification log", r"(?<!ASCII )letters?": "email draft"}
"""Words that are plain elsewhere: operating-system threads, dead letters, letters and digits."""

BANNED_NAMES = {
    "Answer": "Reply, Outcome",
    "Breaker": "CircuitBreaker",
    "Edge": "HttpApi",
    "Names": "TypeRegistry",
    "Pace": "RateLimiter",
    "Room": "LeaseBudget",
    "Slot": "LoadedRow",
    "Telling": "Notification",
    "Turn": "Change",
    "Wiring": "HandlerRegistry",
    "heard": "apply_report",
    "sends": "commands",
    "tell": "notify, publish",
    "want": "request",
}
"""Of classes, functions, parameters and aliases."""

LOADED_ON_DEMAND = (
    "shared/shell/observability/telemetry.py",
    "shared/shell/batch/own_log.py",
    "shared/shell/http/openapi.py",
    "services/fulfillment/gateways/files/choice.py",
    "deploy/cli/group.py",
)
"""OpenTelemetry, sqlite3, the examples of messages, and storage by S3, which most workers do not use; and pydantic,
which the help and the completion do not."""

NOUNS_IN_ING = frozenset("housekeeping listing messaging parking rendering tracing waiting".split())
CODE_FILE = re.compile(r"`([\w/.-]+\.(?:py|toml|yaml|html))`")
CITED = re.compile(r"\b([A-Z]{5,})(?=, (?:sections?|invariants?)\b|'s (?:nine|section)|[,:] \"The )")
ANCHOR = re.compile(r"\]\(([^)#\s:]*)#([^)\s]+)\)")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(
    r"(?<![\w/.-])((?:docs|services|shared|deploy|tests)/"
    r"(?:[\w./-]*\w\.(?:md|py|json|toml|yaml|html)\b|[\w/-]+/(?=`)))"
)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read_as_words(text: str) -> str:
    return CAMEL.sub(" ", text.replace("_", " "))


def pattern_of(words: dict[str, str]) -> re.Pattern[str]:
    return re.compile(r"(?<![\w-])(?:" + "|".join(words) + r")(?![\w-])", re.IGNORECASE)


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def texts() -> list[Path]:
    found = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in KINDS]
    found += [*ROOT.glob("*.md"), ROOT / "Makefile"]
    return sorted(file for file in found if not name_of(file).startswith(UNREAD) and "__pycache__" not in file.parts)


@cache
def all_files() -> list[str]:
    return [f"/{name_of(file)}" for folder in FOLDERS for file in (ROOT / folder).rglob("*.*")]


@cache
def trees() -> dict[str, ast.Module]:
    return {name_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in texts() if file.suffix == ".py"}


def banned_words(name: str, text: str) -> Iterator[str]:
    tables = [BANNED, *([WITHIN_NOTIFICATIONS] if "notifications/" in name else [])]
    legitimate = {word for place, words in LEGITIMATE.items() if name.startswith(place) for word in words}
    for table in tables:
        pattern = pattern_of(table)
        for number, line in enumerate(read_as_words(text).splitlines(), 1):
            for found in pattern.finditer(line):
                if found.group().lower() not in legitimate:
                    better = next(new for old, new in table.items() if pattern_of({old: new}).fullmatch(found.group()))
                    yield f"{name}:{number}: not “{found.group()}”, but: {better}"


def banned_names(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=given) | ast.FunctionDef(name=given) | ast.AsyncFunctionDef(name=given):
                pass
            case ast.arg(arg=given) | ast.Name(id=given, ctx=ast.Store()) | ast.Attribute(attr=given, ctx=ast.Store()):
                pass
            case ast.alias(asname=str(given)) | ast.ExceptHandler(name=str(given)):
                pass
            case _:
                continue
        if better := BANNED_NAMES.get(given):
            yield f"{name}:{node.lineno}: not {given}, but: {better}"


def large_things(name: str, tree: ast.Module) -> Iterator[str]:
    lines = max((node.end_lineno or 0 for node in tree.body), default=0)
    if lines > MAX_FILE_LINES:
        yield f"{name}: {lines} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def lazy_imports(name: str, tree: ast.Module) -> Iterator[str]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom | ast.Call) and _imports(node):
                    yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def _imports(node: ast.stmt | ast.Call) -> bool:
    """A module whose name is computed is looked up in a registry, which is no import to be moved."""
    match node:
        case ast.Call(func=function, args=[ast.Constant(), *_]):
            return ast.unparse(function).rpartition(".")[2] in ("import_module", "__import__")
        case ast.Call():
            return False
    return True


def verbs_as_files(name: str) -> Iterator[str]:
    *folders, stem = Path(name).with_suffix("").parts
    for part in (*folders, stem):
        last = part.rpartition("_")[2]
        if (last.endswith("ing") and last not in NOUNS_IN_ING) or part in ("calling_off", "tidings"):
            yield f"{name}: name the file after a thing: charge.py, not charging.py"


def documents_that_are_not_here(name: str, text: str) -> Iterator[str]:
    """Paths, links, and documents cited by an all-capital name that do not exist in the repository."""
    folder = (ROOT / name).parent
    text = text if name.endswith(".md") else comments_of(text)
    cited = {f"{word}.md" for word in CITED.findall(text)}
    links = {link for link in LINK.findall(text) if "://" not in link} if name.endswith(".md") else set()
    for path in sorted({*cited, *PATH.findall(text), *links}):
        if not (ROOT / path).exists() and not (folder / path).exists():
            yield f"{name}: there is no {path}"
    for path in CODE_FILE.findall(text) if name.endswith(".md") else ():
        if not any(file.endswith(f"/{path}") for file in all_files()):
            yield f"{name}: there is no file …/{path}"
    for path, heading in ANCHOR.findall(text) if name.endswith(".md") else ():
        target = folder / path if path else ROOT / name
        if target.is_file() and heading not in anchors(target.read_text(encoding="utf-8")):
            yield f"{name}: {path} has no heading #{heading}"


def comments_of(code: str) -> str:
    """Docstrings and comments: in other strings a path can be a test's data."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except SyntaxError:  # a template, YAML, TOML
        return code
    docstrings = [
        node.value.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return "\n".join([*re.findall(r"#.*", code), *map(str, docstrings)])


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problems(check: Callable[[str, str], Iterator[str]]) -> list[str]:
    return [problem for file in texts() for problem in check(name_of(file), file.read_text(encoding="utf-8"))]


def problems_of_code(check: Callable[[str, ast.Module], Iterator[str]]) -> list[str]:
    return [problem for name, tree in trees().items() for problem in check(name, tree)]


def test_the_words_are_those_of_the_field() -> None:
    assert problems(banned_words) == []


def test_the_names_are_those_of_the_field() -> None:
    assert problems_of_code(banned_names) == []


def test_files_and_functions_are_small() -> None:
    assert problems_of_code(large_things) == []


def test_imports_stand_at_the_top() -> None:
    assert [one for one in problems_of_code(lazy_imports) if not one.startswith(LOADED_ON_DEMAND)] == []


def test_files_are_nouns() -> None:
    assert problems_of_code(lambda name, _: verbs_as_files(name)) == []


def test_what_is_referred_to_exists() -> None:
    assert problems(documents_that_are_not_here) == []


def singular(words: list[str]) -> list[str]:
    return [word.removesuffix("s") for word in words]


def is_named_like_its_type(name: str, wire_type: str, *, imperative: bool, compacted: bool) -> bool:
    """`order.payment_declined` is OrderPaymentDeclined, `payment.refund` is RefundPayment; plural nouns are allowed."""
    subject, _, verb = wire_type.partition(".")
    words = [*verb.split("_"), subject] if imperative else [subject, *verb.split("_")]
    words += ["record"] if compacted else []
    return singular(CAMEL.sub(" ", name).lower().split()) == singular(words)


@pytest.mark.parametrize("kind", published(), ids=lambda kind: kind.__name__)
def test_a_message_is_named_like_its_wire_type(kind: type[Message]) -> None:
    """What the storefront reports and what a service notes for itself is in the past tense, also where it can be
    refused."""
    to_itself = ("delivery.codes_arrived", "codes.imported", "parcel.delivered")
    past = kind.topic.owner == "storefront" or kind.type in to_itself
    imperative = issubclass(kind, Command) and not past
    compacted = kind.topic.compacted
    assert is_named_like_its_type(kind.__name__, kind.type, imperative=imperative, compacted=compacted)


class TestTheRules:
    """Each of these must be seen."""

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.py", "# It was called off."),
            ("a.py", "def test_it_is_called_off(): ..."),
            ("a.py", "class CalledOff: ..."),
            ("a.md", "Nobody knows."),
            ("a.md", "A person must look."),
            ("a.md", "The payment is canceled."),
            ("a.py", "authorized = True"),
            ("services/notifications/a.py", "thread = None"),
        ],
    )
    def test_words(self, name: str, text: str) -> None:
        assert list(banned_words(name, text))

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.py", "threading.Thread"),
            ("a.py", 'headers["Authorization"]'),
            ("a.md", "What is in doubt is cancelled and fulfilled."),
            ("deploy/sandboxes/stripe/a.py", "canceled"),
        ],
    )
    def test_words_that_are_fine(self, name: str, text: str) -> None:
        assert list(banned_words(name, text)) == []

    def test_code(self) -> None:
        tree = ast.parse("def f(want):\n    import os\n" + "    x = 1\n" * MAX_FILE_LINES)
        assert len([*banned_names("a.py", tree), *lazy_imports("a.py", tree), *large_things("a.py", tree)]) == 4

    @pytest.mark.parametrize(
        "code",
        [
            "from x import y as Wiring",
            "self.want = 1",
            "try: ...\nexcept E as want: ...",
            "def f():\n    importlib.import_module('x')",
        ],
    )
    def test_code_that_is_seen(self, code: str) -> None:
        assert [*banned_names("a.py", ast.parse(code)), *lazy_imports("a.py", ast.parse(code))]

    @pytest.mark.parametrize(
        "text",
        [
            "(DESIGN, section 3)",
            "see docs/gone.md",
            "[it](gone.md)",
            "[it](#gone)",
            "`tests/gone.py`",
            "`it_is_gone.py`",
        ],
    )
    def test_references(self, text: str) -> None:
        assert list(documents_that_are_not_here("README.md", text))

    @pytest.mark.parametrize("name", ["a/paying.py", "a/calling_off.py", "tests/unit/test_charging.py"])
    def test_files(self, name: str) -> None:
        assert list(verbs_as_files(name))

    @pytest.mark.parametrize(
        ("name", "wire_type", "imperative"),
        [("PaymentDeclined", "order.payment_declined", False), ("PaymentRefund", "payment.refund", True)],
    )
    def test_messages(self, name: str, wire_type: str, imperative: bool) -> None:
        assert not is_named_like_its_type(name, wire_type, imperative=imperative, compacted=False)


def test_each_adr_has_a_number_of_its_own() -> None:
    numbers = [file.name[:4] for file in (ROOT / "docs" / "adr").glob("0*.md")]
    assert len(numbers) == len(set(numbers))
