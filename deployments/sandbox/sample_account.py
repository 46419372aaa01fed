"""The people, devices and places of the sample events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
LOWER = UPPER.lower()
ID_LENGTH = 26

IPV6_SHARE = 0.25
COUNTRY_ALONE = 0.1
GUESTS = (9, 19)

NAMES = (
    "Ana Test",
    "Bo Test",
    "Chloé Lefèvre",
    "Dmitri Волков",
    "Eun-ji 김",
    "Fatima Al-Zahra",
    "Grace O'Malley",
    "Håkon Ødegård",
    "Ines & Ivo (shared)",
    "João Magalhães",
    "Kenji 田中",
    "Lukas Müller <contractor>",
    "Maya Cohen",
    "Ngozi Adeyemi",
    'Oscar "Ozzy" Reyes',
    "Priya Natarajan",
    "Quinn Backslash\\Smith",
    "Rosa 🌹 Jiménez",
    "Sven Lindqvist",
    "Thi Nguyễn",
)

# app, app version, platform, platform version, os, os version
CLIENTS = (
    ("1Password for Web", "2001", "Firefox", "140.0", "Linux", "6.9"),
    ("1Password for Web", "2001", "Chrome", "141.0.7390.54", "Windows", "11"),
    ("1Password Browser Extension", "21112306", "Chrome", "141.0.7390.54", "MacOSX", "15.6.1"),
    ("1Password for Mac", "81112305", "Anas-MacBook-Pro.local", "MacBookPro18,3", "MacOSX", "15.6.1"),
    (
        "1Password for Windows",
        "81112305",
        "LAPTOP-7Q2F",
        "13th Gen Intel(R) Core(TM) i7-1355U",
        "Windows",
        "11",
    ),
    ("1Password for Linux", "81112305", "build-box", "AMD Ryzen 7 5800X", "Ubuntu", "24.04"),
    ("1Password for iOS", "81112010", "iPhone", "iPhone15,2", "iOS", "18.6"),
    ("1Password for Android", "81112010", "Pixel 8", "", "Android", "15"),
    ("1Password CLI", "2320001", "ci-runner-12", "", "Linux", "6.9"),
    ("1Password SCIM Bridge", "2090500", "scim-0", "", "Linux", "5.15"),
    ("1Password SDK", "0030001", "worker", "", "Linux", "6.9"),
    ("1Password Connect", "10700", "connect-api", "", "Linux", "5.15"),
)

# code, name as the API at times spells it, region, city, latitude, longitude
PLACES = (
    ("CA", "Canada", "Ontario", "Toronto", 43.6532, -79.3832),
    ("US", "US", "California", "San Francisco", 37.7749, -122.4194),
    ("FR", "France", "Île-de-France", "Paris", 48.8566, 2.3522),
    ("NZ", "NZ", "Otago", "Dunedin", -45.87, 170.5),
    ("DE", "DE", "Berlin", "Berlin", 52.52, 13.405),
    ("IL", "Israel", "Tel Aviv", "Tel Aviv", 32.0853, 34.7818),
    ("AR", "AR", "Buenos Aires", "Buenos Aires", -34.6037, -58.3816),
    ("JP", "JP", "Tokyo", "Tokyo", 35.6762, 139.6503),
)


@dataclass(frozen=True)
class SamplePerson:
    uuid: str
    name: str
    email: str
    guest_of: str | None

    def short(self) -> dict[str, object]:
        return {"uuid": self.uuid, "name": self.name, "email": self.email}

    def full(self) -> dict[str, object]:
        """As v2 returns it: a person of another account has that account and a type."""
        if self.guest_of is None:
            return self.short()
        return {**self.short(), "user_type": "external_user", "user_account_uuid": self.guest_of}


@dataclass(frozen=True)
class SampleAccount:
    account: str
    people: tuple[SamplePerson, ...]
    vaults: tuple[str, ...]
    items: tuple[str, ...]
    groups: tuple[str, ...]
    devices: tuple[str, ...]


def identifier(random: Random, alphabet: str = UPPER) -> str:
    """26 characters of base32, like 1Password's ids."""
    return "".join(random.choices(alphabet, k=ID_LENGTH))


@cache
def sample_account(seed: int) -> SampleAccount:
    random = Random(f"cast/{seed}")  # noqa: S311 - made-up data
    guest_account = identifier(random)
    return SampleAccount(
        account=identifier(random),
        people=tuple(_person(random, place, guest_account) for place in range(len(NAMES))),
        vaults=_ids(random, 12),
        items=_ids(random, 200),
        groups=_ids(random, 6),
        devices=_ids(random, 40),
    )


def client(random: Random) -> dict[str, object]:
    app, app_version, platform, platform_version, os, os_version = random.choice(CLIENTS)
    return {
        "app_name": app,
        "app_version": app_version,
        "platform_name": platform,
        "platform_version": platform_version,
        "os_name": os,
        "os_version": os_version,
        "ip_address": ip_address(random),
    }


def ip_address(random: Random) -> str:
    """From the ranges reserved for documentation; one in four is IPv6."""
    if random.random() < IPV6_SHARE:
        return f"2001:db8:{random.randrange(65536):x}::{random.randrange(1, 65536):x}"
    return f"{random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{random.randrange(1, 255)}"


def location(random: Random) -> dict[str, object]:
    """Some have only the country."""
    code, spelled, region, city, latitude, longitude = random.choice(PLACES)
    if random.random() < COUNTRY_ALONE:
        return {"country": code}
    return {
        "country": spelled,
        "region": region,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
    }


def _person(random: Random, place: int, guest_account: str) -> SamplePerson:
    first = NAMES[place].split()[0].lower().encode("ascii", "ignore").decode()
    guest = guest_account if place in GUESTS else None
    return SamplePerson(identifier(random), NAMES[place], f"{first}.{place}@example.org", guest)


def _ids(random: Random, number: int) -> tuple[str, ...]:
    return tuple(identifier(random, LOWER) for _ in range(number))
