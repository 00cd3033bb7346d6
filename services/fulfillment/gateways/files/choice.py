"""Where the files are, as the settings say."""

from __future__ import annotations

from services.fulfillment.gateways.files import FileStore
from services.fulfillment.gateways.files.folder import FolderFiles
from services.fulfillment.settings import FulfillmentSection


def files_of(own: FulfillmentSection) -> FileStore | None:
    """None where no place is set. The settings are right together (`FulfillmentSettings.problem`)."""
    if own.s3_bucket and own.s3_endpoint and own.s3_access_key and own.s3_secret_key:
        from services.fulfillment.gateways.files.s3 import S3Files  # noqa: PLC0415  # 4 MB that others do not need

        access, secret = own.s3_access_key.get_secret_value(), own.s3_secret_key.get_secret_value()
        return S3Files(own.s3_endpoint, own.s3_bucket, own.s3_region, access, secret)
    return FolderFiles(own.files) if own.files else None
