"""OCSF's objects are made of what a body has, and are None where it has nothing for them."""

from __future__ import annotations

import pytest

from blocks.siem.formats import body
from blocks.siem.formats.ocsf import objects
from blocks.siem.formats.ocsf.objects import OcsfLocation, OcsfReference, OcsfSession

NO_DETAILS = body.UserDetails()
ANA = body.UserDetails(uuid="U1", name="Ana", email="ana@example.org")


def test_a_user_needs_an_id_an_address_or_an_account() -> None:
    assert objects.user(body.UserDetails(name="Ana"), None, None, "user") is None
    for user in (
        objects.user(NO_DETAILS, "U1", None, None),
        objects.user(body.UserDetails(email="a"), None, None, None),
        objects.user(NO_DETAILS, None, "ACCOUNT", None),
    ):
        assert user is not None


def test_a_user_has_a_name_for_sign_in_and_an_address_only_if_it_is_one() -> None:
    user = objects.user(ANA, "OTHER", "ACCOUNT", "user")
    assert user is not None
    assert (user.uid, user.name, user.full_name, user.email_addr) == (
        "OTHER",
        "ana@example.org",
        "Ana",
        "ana@example.org",
    )
    assert (user.account, user.type_id, user.type) == (OcsfReference("ACCOUNT"), 1, "User")
    masked = objects.user(body.UserDetails(uuid="U1", email="#####"), None, None, "integration")
    assert masked is not None
    assert (masked.uid, masked.name, masked.email_addr) == ("U1", "#####", None)
    assert (masked.account, masked.type_id, masked.type) == (None, 99, "integration")


@pytest.mark.parametrize(
    ("text", "is_email"),
    [("ana@example.org", True), ("a+b@ex-ample.co.uk", True), ("ana@localhost", False), ("@example.org", False)],
)
def test_addresses_as_ocsf_has_them(text: str, *, is_email: bool) -> None:
    assert objects.is_email(text) is is_email


def test_an_endpoint_has_an_address_or_the_name_that_a_rule_made_of_it() -> None:
    place = body.Location(country="NZ")
    found = objects.endpoint("192.0.2.7", place)
    assert found is not None
    assert (found.ip, found.name, found.location) == ("192.0.2.7", None, OcsfLocation(country="NZ"))
    hashed = objects.endpoint("4f2c" * 16, None)
    assert hashed is not None
    assert (hashed.ip, hashed.name, hashed.location) == (None, "4f2c" * 16, None)
    long = "0000:0000:0000:0000:0000:ffff:255.255.255.255"  # an address, but longer than OCSF allows
    too_long = objects.endpoint(long, None)
    assert too_long is not None
    assert (too_long.ip, too_long.name) == (None, long)
    assert objects.endpoint("", place) is None
    assert objects.endpoint(None, place) is None


@pytest.mark.parametrize(
    ("country", "code", "result"),
    [
        ("NZ", None, "NZ"),
        ("New Zealand", None, "New Zealand"),
        ("New Zealand", "NZ", "NZ"),
        ("DE", "NZ", "DE"),
        ("nz", None, "nz"),
    ],
)
def test_a_country_is_a_code_if_there_is_one(country: str, code: str | None, result: str) -> None:
    assert objects.location(body.Location(country=country), code) == OcsfLocation(country=result)


def test_a_location_has_both_coordinates_or_none_and_needs_a_name() -> None:
    both = objects.location(body.Location(city="Dunedin", latitude=-45.87, longitude=170.5))
    assert both == OcsfLocation("Dunedin", lat=-45.87, long=170.5)
    assert objects.location(body.Location(city="Dunedin", latitude=-45.87)) == OcsfLocation("Dunedin")
    assert objects.location(body.Location(latitude=-45.87, longitude=170.5), "NZ") is None


@pytest.mark.parametrize(
    ("name", "type_id", "caption"),
    [("Windows", 100, "Windows"), ("macOS", 300, "macOS"), ("iPadOS", 302, "iPadOS"), ("Plan9", 99, "Plan9")],
)
def test_a_device_has_its_system(name: str, type_id: int, caption: str) -> None:
    device = objects.device(body.Client(platform_name="Chrome", os_name=name, os_version="1"))
    assert device is not None
    assert device.os is not None
    assert (device.os.name, device.os.type_id, device.os.type, device.os.version) == (name, type_id, caption, "1")


def test_a_device_needs_a_name_or_an_address() -> None:
    assert objects.device(body.Client(os_name="Linux", ip_address="masked")) is None
    device = objects.device(body.Client(ip_address="2001:db8::7"))
    assert device is not None
    assert (device.ip, device.name, device.os, device.type_id) == ("2001:db8::7", None, None, 0)


def test_a_session_has_an_id_or_a_time() -> None:
    assert objects.session(body.Session(ip="192.0.2.7", login_time="soon")) is None
    assert objects.session(body.Session(uuid="S")) == OcsfSession("S", None)
    time = "1970-01-01T00:00:01.0005Z"
    assert objects.session(body.Session(login_time=time)) == OcsfSession(None, 1000)


def test_a_group_without_an_id_has_a_name_all_the_same() -> None:
    assert objects.reference("G") == OcsfReference("G")
    assert objects.reference("G", "Owners") == OcsfReference("G", "Owners")
    assert objects.reference(None) == OcsfReference(None, "Unknown")


def test_what_ocsf_has_no_attribute_for_is_kept_under_its_own_name() -> None:
    assert objects.unmapped(a=None) is None
    assert objects.unmapped(a=0, b=None, c="") == {"a": 0, "c": ""}
    versions = body.Client(app_version="2001")
    assert objects.client_versions(body.Client(app_name="1P", app_version="2001")) == versions
    assert objects.client_versions(body.Client(app_name="1P")) is None
