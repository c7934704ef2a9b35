"""The files of the page, as they lie in the package: a browser needs no other."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file."""

    content: bytes
    content_type: str
    etag: str
    """Tag that changes with the content."""


def page_files() -> dict[str, PageFile]:
    """Return all files by their paths below the page, like `vendor/preact.js`."""
    found = sorted(path for path in STATIC.rglob("*") if path.suffix in TYPES)
    return {str(path.relative_to(STATIC)): _file(path) for path in found}


def _file(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(
        content=content,
        content_type=TYPES[path.suffix],
        etag=f'"{sha256(content).hexdigest()[:20]}"',
    )
