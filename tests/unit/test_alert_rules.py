"""Each alert fires when it should, and ends when what it is about does: by Prometheus' own tool."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.registry import PROCESSES

RULES = Path(__file__).parents[2] / "deploy" / "grafana" / "alerts.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
MOST_LINES = 8


@dataclass(frozen=True)
class Course:
    """What one alert sees. Series are by the minute: well for two, wrong from the third on, well again at `until`."""

    alert: str
    series: str
    """With its labels."""
    well: float
    wrong: float
    after: int
    """Minutes from the first wrong value to the alert."""
    labels: dict[str, str]
    summary: str
    more: tuple[tuple[str, str], ...] = ()
    """Further series and their values."""

    @property
    def fires_at(self) -> int:
        return 3 + self.after

    @property
    def until(self) -> int:
        return self.fires_at + 2

    def values(self) -> str:
        wrong = self.until - 4
        return f"{self.well:g}x2 {self.wrong:g}x{wrong} {self.well:g}x120"


PAYMENTS = {"service": "payments"}
ONE = 'service="payments", worker="payments-0"'
CRITICAL, WARNING = {"severity": "critical"}, {"severity": "warning"}


def of_service(alert: str, metric: str, wrong: float, after: int, severity: dict[str, str], text: str) -> Course:
    return Course(alert, f"{metric}{{{ONE}}}", 0, wrong, after, PAYMENTS | severity, text)


def of_all(alert: str, metric: str, after: int, severity: dict[str, str], text: str) -> Course:
    return Course(alert, f"{metric}{{{ONE}}}", 0, 2, after, severity, text)


def of_staff(alert: str, what: str, after: int, severity: dict[str, str], text: str) -> Course:
    series = f'orderbus_attention{{{ONE}, what="{what}", routine="no"}}'
    return Course(alert, series, 0, 2, after, PAYMENTS | {"what": what} | severity, text)


COURSES = (
    Course(
        "OrderbusWorkerDown",
        'up{job="orderbus", instance="payments-0:8080"}',
        *(1, 0, 2),
        {"job": "orderbus", "instance": "payments-0:8080"} | CRITICAL,
        "payments-0:8080 does not answer.",
    ),
    Course(
        "OrderbusNotReady",
        f'orderbus_ready{{{ONE}, part="database"}}',
        *(1, 0, 1),
        PAYMENTS | {"worker": "payments-0", "part": "database"} | CRITICAL,
        "payments-0 does not reach its database.",
    ),
    Course(
        "OrderbusMonitorIncomplete",
        'orderbus_ready{service="monitor", worker="monitor-0", part="history"}',
        *(1, 0, 15),
        {"worker": "monitor-0"} | WARNING,
        "monitor-0 has not read the status topics to their ends.",
    ),
    Course(
        "OrderbusUnusual",
        'orderbus_monitor_unusual{service="monitor", worker="monitor-0", store="northwind", what="cards", by="ip"}',
        *(0, 2, 0),
        {"store": "northwind", "what": "cards", "by": "ip"} | WARNING,
        "northwind: unusually many cards from one ip, 2 times.",
    ),
    of_service(
        *("OrderbusOutboxOld", "orderbus_outbox_age_seconds", 90, 2, CRITICAL),
        "payments: a record has been waiting for Kafka for 1m 30s.",
    ),
    of_service(
        *("OrderbusUndeliverable", "orderbus_undeliverable", 2, 0, CRITICAL),
        "payments: 2 records are held back because Kafka refuses one of their key.",
    ),
    of_service(
        *("OrderbusTopicHeldUp", "orderbus_topics_held_up", 1, 2, CRITICAL),
        "payments cannot write to 1 topics (missing, forbidden or without replicas).",
    ),
    Course(
        "OrderbusStandsStill",
        f'orderbus_progress_age_seconds{{{ONE}, part="relay"}}',
        *(0, 90, 1),
        PAYMENTS | {"worker": "payments-0", "part": "relay"} | CRITICAL,
        "payments-0: the relay has made no progress for 1m 30s.",
    ),
    of_service(
        *("OrderbusLagOld", "orderbus_lag_seconds", 21600, 5, WARNING),
        "payments: a record has waited for 6h 0m 0s and is not handled.",
    ),
    of_service(
        *("OrderbusParked", "orderbus_parked", 2, 5, WARNING),
        "payments: 2 messages are parked; their orders do not progress.",
    ),
    of_service(
        *("OrderbusWaitsForNewer", "orderbus_waiting_for_newer", 2, 30, WARNING),
        "payments: 2 messages wait for a newer build. Is an update half done?",
    ),
    of_service(
        *("OrderbusTimersLate", "orderbus_timers_late", 2, 10, WARNING),
        "payments: 2 timers are due and not handled; this version may not know them.",
    ),
    of_service(
        *("OrderbusOperationsInDoubt", "orderbus_operations_in_doubt", 2, 10, WARNING),
        "payments: 2 calls to outside systems are in doubt.",
    ),
    *(
        of_staff(
            *("OrderbusOperationsUnresolved", what, 0, CRITICAL),
            f"payments, {what}: 2 outcomes stay unknown until staff settle them.",
        )
        for what in ("unresolved payment", "unresolved refund", "unknown emails", "access not revoked")
    ),
    *(
        of_staff(
            *("OrderbusWaitsForStaff", what, 15, WARNING),
            f"payments, {what}: 2 go no further until staff act.",
        )
        for what in (
            *("late emails", "lost emails", "exhausted webhooks"),
            *("paused webhooks", "paused endpoint", "empty code pool"),
        )
    ),
    of_service(
        *("OrderbusDestinationPaused", "orderbus_destinations_paused", 2, 0, CRITICAL),
        "payments: 2 outside systems are paused: a configuration error, or no mail server.",
    ),
    of_service(
        *("OrderbusOperationsLate", "orderbus_operations_late", 2, 10, WARNING),
        "payments: 2 calls to outside systems are late.",
    ),
    of_all(
        *("OrderbusRefundsOwed", "orderbus_refunds_owed", 10, CRITICAL),
        "2 payments have had a refund owed for more than a day.",
    ),
    of_all(
        *("OrderbusPaidUnfinished", "orderbus_orders_paid_unfinished_overdue", 5, CRITICAL),
        "2 paid orders make no progress.",
    ),
    of_all(
        *("OrderbusDeliveryFailed", "orderbus_orders_failed", 30, WARNING),
        "2 paid orders have a failed delivery and need attention.",
    ),
    of_all(
        *("OrderbusPaymentOverdue", "orderbus_orders_payment_overdue", 10, WARNING),
        "2 unpaid orders have not expired on time.",
    ),
    Course(
        "OrderbusMemory",
        'process_resident_memory_bytes{job="orderbus", instance="i"}',
        *(1e8, 524288000, 15),
        PAYMENTS | {"worker": "payments-0", "job": "orderbus", "instance": "i"} | WARNING,
        "payments-0 uses 500MiB of memory.",
        more=((f'orderbus_worker_info{{{ONE}, job="orderbus", instance="i"}}', "1x120"),),
    ),
)


def rules() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


def fired(alert: str, labels: dict[str, str], summary: str) -> dict[str, Any]:
    page = rules()[alert]["annotations"]["runbook_url"]
    return {"exp_labels": labels, "exp_annotations": {"summary": summary, "runbook_url": page}}


def at(minutes: int, alert: str, *expected: dict[str, Any]) -> dict[str, Any]:
    return {"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": list(expected)}


def document_of(course: Course) -> dict[str, Any]:
    series = [(course.series, course.values()), *course.more]
    expected = fired(course.alert, course.labels, course.summary)
    quiet = [at(max(2, course.fires_at - 1), course.alert)]
    checks = [at(2, course.alert), *(quiet if course.after else []), at(course.fires_at, course.alert, expected)]
    return _document(series, [*checks, at(course.until + 1, course.alert)])


def _document(series: list[tuple[str, str]], checks: list[dict[str, Any]]) -> dict[str, Any]:
    inputs = [{"series": name, "values": values} for name, values in series]
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": checks}
    return {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]}


@pytest.fixture
def judge(tmp_path: Path) -> Any:
    """What promtool says of a test; empty where it is passed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here (Debian: package prometheus): the rules were not tried")

    def judged(document: dict[str, Any]) -> str:
        path = tmp_path / "test.yaml"
        path.write_text(yaml.safe_dump(document))
        done = subprocess.run([promtool, "test", "rules", str(path)], check=False, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    return judged


@pytest.mark.parametrize("course", COURSES, ids=lambda course: f"{course.alert}-{course.labels.get('what', '')}")
def test_it_fires_and_ends(course: Course, judge: Any) -> None:
    assert judge(document_of(course)) == ""


@pytest.mark.parametrize("service", PROCESSES)
def test_a_service_without_workers_is_missed(service: str, judge: Any) -> None:
    gone = f'orderbus_worker_info{{service="{service}", worker="{service}-0"}}'
    others = [(f'orderbus_worker_info{{service="{one}"}}', "1x60") for one in PROCESSES if one != service]
    expected = fired(
        "OrderbusServiceGone", {"service": service} | CRITICAL, f"Prometheus knows no worker of {service}."
    )
    checks = [
        at(2, "OrderbusServiceGone"),
        at(6, "OrderbusServiceGone", expected),
        at(9, "OrderbusServiceGone"),
    ]
    assert judge(_document([(gone, "1x2 stale _x4 1x60"), *others], checks)) == ""


def test_facts_with_another_body_are_reported_for_an_hour(judge: Any) -> None:
    series = f"orderbus_reworded_total{{{ONE}}}"
    summary = "payments received facts again with different content: was a database restored?"
    expected = fired("OrderbusReworded", PAYMENTS | WARNING, summary)
    checks = [
        at(60, "OrderbusReworded"),
        at(122, "OrderbusReworded", expected),
        at(190, "OrderbusReworded"),
    ]
    document = _document([(series, "0x91 2.95x200")], checks)
    assert judge(document) == ""


def test_what_cannot_be_read_is_no_zero(judge: Any) -> None:
    """As long as one worker can read its tables, the alert stays."""
    one, other = (f'orderbus_parked{{service="payments", worker="payments-{n}"}}' for n in (0, 1))
    text = "payments: 2 messages are parked; their orders do not progress."
    expected = fired("OrderbusParked", PAYMENTS | WARNING, text)
    document = _document([(one, "2x60"), (other, "NaN " * 60)], [at(6, "OrderbusParked", expected)])
    assert judge(document) == ""


def test_every_rule_is_tried() -> None:
    assert {course.alert for course in COURSES} | {"OrderbusServiceGone", "OrderbusReworded"} == rules().keys()


def test_each_section_is_short() -> None:
    sections = PAGE.read_text().split("\n## ")[1:]
    lines = {section.splitlines()[0]: len(section.strip().splitlines()) - 1 for section in sections}
    assert {name: count for name, count in lines.items() if name in rules() and count > MOST_LINES} == {}
    assert rules().keys() <= lines.keys()
