"""The packages of the corpus: which are pinned and which refused, how they are fetched, and their licences."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Literal

PINNED = Path(__file__).with_name("packages.toml")

# The subjects of published collections of Python bugs (BugsInPy, SWE-bench and their kind). A model that has read their
# mended code would recite it when it is measured there, so none of them may be learned from.
BENCHMARKS = frozenset(
    {
        "ansible",
        "ansible-core",
        "black",
        "cookiecutter",
        "fastapi",
        "httpie",
        "keras",
        "tf-keras",
        "luigi",
        "matplotlib",
        "pandas",
        "pysnooper",
        "sanic",
        "scrapy",
        "spacy",
        "thefuck",
        "tornado",
        "tqdm",
        "youtube-dl",
        "yt-dlp",
        "astropy",
        "django",
        "flask",
        "pylint",
        "pytest",
        "requests",
        "scikit-learn",
        "seaborn",
        "sphinx",
        "sympy",
        "xarray",
    }
)

_FAMILIES = {  # part of what a package says of itself, and the family of licences that it means
    "MIT": r"\bMIT\b",
    "BSD": r"\bBSD\b",
    "Apache": r"\bApache\b",
    "ISC": r"\bISC\b",
    "PSF": r"\bPSF\b|Python Software Foundation|\bPython-2\.0",
    "HPND": r"\bHPND\b|MIT-CMU|Historical Permission",
    "Biopython": r"Biopython License|Biopython-License",
    "Repoze": r"Repoze",
}
_COPYLEFT = re.compile(r"\b[AL]?GPL|General Public|\bMPL\b|Mozilla Public|\bEPL\b|\bCC-BY-(SA|NC)")


class Refused(Exception):
    """A package may not be part of the corpus."""


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    licence: str
    split: Literal["train", "held-out"]


def pinned(path: Path = PINNED) -> list[Package]:
    """Read the list. Raises Refused when a subject of a bug benchmark, or a name twice, is on it."""
    packages = [Package(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["packages"]]
    names = [re.sub(r"[-_.]+", "-", package.name).lower() for package in packages]
    if wrong := sorted(BENCHMARKS.intersection(names)):
        raise Refused(f"published collections of bugs are made of {', '.join(wrong)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"named twice: {', '.join(twice)}")
    for package in packages:
        if package.split not in ("train", "held-out") or not families(package.licence):
            raise Refused(f"{package.name}: split {package.split!r}, licence {package.licence!r}")
    return packages


def fetch(package: Package, folder: Path) -> Path:
    """Install one package without its dependencies into `folder`; nothing is done when it is there.

    Raises Refused when it is not to be had as a wheel for this interpreter.
    """
    place = folder / package.name
    if place.is_dir() and said(place).get("Version") == package.version:
        return place
    part = folder / f"{package.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(part)]
    done = subprocess.run([*command, f"{package.name}=={package.version}"], capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise Refused(f"{package.name}: {(done.stderr.strip() or 'not installed').splitlines()[-1]}")
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    return place


def said(place: Path) -> Message:
    """Return what an installed package says of itself, empty when it says nothing."""
    for metadata in sorted(place.glob("*.dist-info/METADATA")):
        return Parser().parsestr(metadata.read_text(encoding="utf-8", errors="replace"))
    return Message()


def families(text: str) -> set[str]:
    return {name for name, pattern in _FAMILIES.items() if re.search(pattern, text)}


def licence_differs(package: Package, place: Path) -> str:
    """Say how the licence in the metadata differs from the one that the list names; empty when it does not."""
    metadata = said(place)
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    expression = str(metadata.get("License-Expression", ""))
    field = str(metadata.get("License", ""))
    text = "\n".join([expression, field, *classifiers])
    found, where = families(text), "the metadata"
    if not found:
        found, where = families(_licence_files(place)), "the licence file"
    if not found & families(package.licence):
        return f"{package.name}: {package.licence} is on the list, {where} says {' '.join(text.split())[:100]!r}"
    # The long texts of compiled wheels name the licences of the libraries inside; the short ones speak of the package.
    short = "\n".join(part for part in (expression, field, *classifiers) if len(part) <= 200)
    if _COPYLEFT.search(short) and " OR " not in expression:
        return f"{package.name}: {_shortened([*classifiers, expression, field])!r} is not permissive"
    return ""


def _shortened(parts: Iterable[str]) -> str:
    return " ".join(" ".join(parts).split())[:100]


def _licence_files(place: Path) -> str:
    """Return the licence files of a package: what is read when its metadata names no licence."""
    names = [path for path in sorted(place.glob("*.dist-info/**/*")) if re.match(r"(?i)licen[cs]e|copying", path.name)]
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in names if path.is_file())
    permissions = {  # words by which a licence is known that does not name itself
        "Permission is hereby granted, free of charge": "MIT",
        "Redistribution and use in source and binary forms": "BSD",
        "Apache License": "Apache",
    }
    flat = " ".join(text.split())
    return flat + " ".join(name for words, name in permissions.items() if words in flat)
