"""Staff's own settings."""

from __future__ import annotations

from deploy.settings import load_process_settings
from services.staff.app import staff_service
from services.staff.settings import StaffSettings
from shared.shell.postgres.engine import new_engine
from tests.unit.settings_given import HIDDEN, Given

PROVIDER = {
    "STAFF__OPENID_ISSUER": "https://id.example",
    "STAFF__OPENID_CLIENT_ID": "orderbus",
    "STAFF__OPENID_CLIENT_SECRET": HIDDEN,
}


def test_users_may_sign_in_by_an_openid_provider(given: Given) -> None:
    given(**PROVIDER)
    settings = load_process_settings("staff")
    assert isinstance(settings, StaffSettings)
    found = settings.staff.open_id()
    assert found is not None and (found.issuer, found.client_id) == ("https://id.example", "orderbus")
    assert found.client_secret.get_secret_value() == HIDDEN
    service = staff_service(settings, new_engine("postgresql://nowhere.example/nothing"))
    assert service.known is not None


def test_a_provider_is_set_whole_or_not_at_all(given: Given) -> None:
    for missing in PROVIDER:
        given(**(PROVIDER | {missing: None}))
        said = load_process_settings("staff").problem()
        assert said.startswith(f"ORDERBUS_{missing}: is missing") and HIDDEN not in said
    for complete in (PROVIDER, dict.fromkeys(PROVIDER)):
        given(**complete)
        assert load_process_settings("staff").problem() == ""
