"""The certificates of forges are read once and not for each request."""

from __future__ import annotations

import ssl

from ci.forge.certificates import trusted


def test_every_connection_is_checked_by_the_same_certificates_and_by_name() -> None:
    assert trusted() is trusted()
    assert trusted().verify_mode is ssl.CERT_REQUIRED and trusted().check_hostname
