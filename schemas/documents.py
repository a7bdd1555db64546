"""Monitors as code: `pulse.yaml` parsed safely, and every error of it at once, each with its line and column.

YAML as in version 1.2: only `true` and `false` are booleans and dates are texts, so that `equals: on` means
the text. Anchors, aliases and merge keys work; the document that they unfold to is bounded.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from schemas.monitors import (
    DOMAIN_PATTERN,
    REFERENCE_PATTERN,
    SLUG_PATTERN,
    STATUS_PATTERN,
    USERNAME_PATTERN,
    Document,
    Maintenance,
    Monitor,
    Page,
)

MAX_DOCUMENT_BYTES: Final = 5 << 20
MAX_DOCUMENT_NODES: Final = 500_000
MAX_DOCUMENT_DEPTH: Final = 40

HOW_TO_WRITE: Final = "look at the indentation, and put quotes around a text with : # { } [ ] or * in it"
WORDS: Final = {
    "missing": "is missing",
    "model_type": "should be a mapping of fields",
    "model_attributes_type": "should be a mapping of fields",
    "dict_type": "should be a mapping of names to values",
    "list_type": "should be a list",
    "string_type": "should be a text",
}
PATTERNS: Final = {
    SLUG_PATTERN: "a slug has lower case letters, digits and inner hyphens, 64 characters at most",
    DOMAIN_PATTERN: "write a host name alone, in lower case, like status.acme.dev",
    REFERENCE_PATTERN: "this is a secret: refer to it, like ${API_TOKEN}",
    STATUS_PATTERN: "write 204, 2xx or 200-299, or several of them with commas between",
    USERNAME_PATTERN: "a user name has no colon",
}

Location = tuple[str | int, ...]


class PulseDocument(Document):
    """What a `pulse.yaml` says: the monitors, the pages and the maintenances of a workspace."""

    monitors: Annotated[list[Monitor], Field(default=[], max_length=20_000)]
    pages: Annotated[list[Page], Field(default=[], max_length=1_000)]
    maintenances: Annotated[list[Maintenance], Field(default=[], max_length=1_000)]


@dataclass(frozen=True, slots=True)
class DocumentError:
    """What is wrong at one place. `line` and `column` count from 1; `field` is like `monitors[0].interval`."""

    line: int
    column: int
    field: str
    message: str


class InvalidDocument(ValueError):
    """The document has errors: all of them, in the order of their places."""

    def __init__(self, source: str, errors: list[DocumentError]) -> None:
        self.source = source
        self.errors = sorted(errors, key=lambda error: (error.line, error.column))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> Iterator[str]:
        """One line an error: `pulse.yaml:3:5: monitors[0].interval: ...`."""
        for error in self.errors:
            field = f"{error.field}: " if error.field else ""
            yield f"{self.source}:{error.line}:{error.column}: {field}{error.message}"


def load_document(path: Path) -> PulseDocument:
    """Read and parse a file. Raises InvalidDocument, OSError."""
    content = path.read_bytes()
    try:
        return parse_document(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidDocument(str(path), [DocumentError(line, 1, "", "this line is not UTF-8")]) from None


def parse_document(text: str, source: str = "pulse.yaml") -> PulseDocument:
    """Parse a document. Raises InvalidDocument with every error that it has."""
    reader = _Reader(source)
    root = reader.compose(text)
    value = {} if root is None else reader.value_of(root, ())
    if reader.errors:
        raise InvalidDocument(source, reader.errors)
    try:
        document = PulseDocument.model_validate(value)
    except ValidationError as invalid:
        errors = [reader.error_at(error["loc"], message_of(error, PulseDocument)) for error in invalid.errors()]
        raise InvalidDocument(source, list(dict.fromkeys(errors))) from None
    repeated = [reader.error_at(*told) for told in (*_repeated_slugs(document), *_repeated_domains(document))]
    if repeated:
        raise InvalidDocument(source, repeated)
    return document


def errors_in(path: Path, found: Iterable[tuple[Location, str]]) -> InvalidDocument:
    """What someone else found wrong with places of a file that parses: the service, say."""
    reader = _Reader(str(path))
    root = reader.compose(path.read_text("utf-8-sig"))
    if root is not None:
        reader.value_of(root, ())
    return InvalidDocument(str(path), [reader.error_at(location, message) for location, message in found])


def field_path(location: Location) -> str:
    """A place as people read it: `monitors[0].assertions[1].jsonpath`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def message_of(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, in words for the person who wrote it; an unknown field gets the nearest known one."""
    if error["type"] in WORDS:
        return WORDS[error["type"]]
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] in PATTERNS:
        return PATTERNS[error["ctx"]["pattern"]]
    if error["type"] == "literal_error" and error["ctx"]["expected"] == "True":
        return "this can only be true; `exists` and `absent` are each other's opposites"
    if error["type"] in ("too_short", "too_long") and error["ctx"]["field_type"] == "Value":
        least, most = error["ctx"].get("min_length"), error["ctx"].get("max_length")
        return f"has {least} characters at least" if most is None else f"has {most} characters at most"
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        near = get_close_matches(name, _known_fields(model, error["loc"][:-1]), n=1)
        return "unknown field" + (f"; did you mean {near[0]}?" if near else "")
    return error["msg"].removeprefix("Value error, ")


def _known_fields(model: type[BaseModel], location: Location) -> list[str]:
    annotation: Any = model
    for part in location:
        annotation = _inner(annotation, part)
    found = _models(annotation)
    return [field.alias or name for found_model in found for name, field in found_model.model_fields.items()]


def _inner(annotation: Any, part: str | int) -> Any:
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    return annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models in a list, a union or an annotated type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (list, Annotated, Union, UnionType):
        return [model for argument in get_args(annotation) for model in _models(argument)]
    return []


def _repeated_slugs(document: PulseDocument) -> Iterator[tuple[Location, str]]:
    for kind in PulseDocument.model_fields:
        first: dict[str, int] = {}
        for index, written in enumerate(getattr(document, kind)):
            if first.setdefault(written.slug, index) != index:
                yield (kind, index, "slug"), f"{written.slug} is already the slug of {kind}[{first[written.slug]}]"


def _repeated_domains(document: PulseDocument) -> Iterator[tuple[Location, str]]:
    first: dict[str, Location] = {}
    for index, page in enumerate(document.pages):
        for number, domain in enumerate(page.domains):
            place = ("pages", index, "domains", number)
            if first.setdefault(domain, place) != place:
                yield place, f"{domain} is already {field_path(first[domain])}"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's plain scalars."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])


class _Reader:
    """Turns nodes into values, remembers where each stands, and collects what is wrong with them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.errors: list[DocumentError] = []
        self._marks: dict[Location, yaml.Mark] = {}
        self._nodes = 0
        self._depth = 0

    def compose(self, text: str) -> yaml.Node | None:
        """The root node, None for an empty document. Raises InvalidDocument."""
        if len(text) > MAX_DOCUMENT_BYTES:
            raise self._refusal(1, 1, f"the document is larger than {MAX_DOCUMENT_BYTES >> 20} MB")
        try:
            return yaml.compose(text, _Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            told = ", ".join(part for part in (error.context, error.problem) if part)
            raise self._refusal(line, column, f"not YAML: {told}; {HOW_TO_WRITE}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self._refusal(line, 1, f"the character #x{ord(text[error.position]):x} is not allowed") from None
        except RecursionError:
            raise self._refusal(1, 1, "the document is nested too deep") from None

    def value_of(self, node: yaml.Node, location: Location) -> Any:
        """The node's value; what is wrong is noted. Raises InvalidDocument for what cannot be walked to its end."""
        self._marks.setdefault(location, node.start_mark)
        with self._inside(node):
            if isinstance(node, yaml.SequenceNode):
                return [self.value_of(item, (*location, index)) for index, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            assert isinstance(node, yaml.ScalarNode)
            return self._scalar(node, location)

    def error_at(self, location: Location, message: str) -> DocumentError:
        """An error at a place, or at the nearest thing around it that was written."""
        known = location
        while known and known not in self._marks:
            known = known[:-1]
        missing = location if message == WORDS["missing"] else known
        mark = self._marks.get(known)
        return DocumentError(
            mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, field_path(missing or location), message
        )

    @contextmanager
    def _inside(self, node: yaml.Node) -> Iterator[None]:
        """Aliases may unfold to much, or hold themselves: counts what was entered, and how deep."""
        self._nodes += 1
        self._depth += 1
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if self._nodes > MAX_DOCUMENT_NODES:
            raise self._refusal(line, column, f"the document has more than {MAX_DOCUMENT_NODES} values")
        if self._depth > MAX_DOCUMENT_DEPTH:
            raise self._refusal(line, column, f"the document is nested deeper than {MAX_DOCUMENT_DEPTH} levels")
        yield
        self._depth -= 1

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for part in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    merged = self._merged_part(part, location) | merged
                continue
            key = self._key(key_node, location)
            if key is None:
                continue
            if key in own:
                self._note(key_node, (*location, key), "is given twice")
            self._marks[(*location, key)] = key_node.start_mark
            own[key] = self.value_of(value_node, (*location, key))
        return merged | own

    def _merged_part(self, node: yaml.Node, location: Location) -> dict[str, Any]:
        if isinstance(node, yaml.MappingNode):
            with self._inside(node):
                return self._mapping(node, location)
        self._note(node, location, "<< merges a mapping, or a list of mappings")
        return {}

    def _key(self, node: yaml.Node, location: Location) -> str | None:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._note(node, location, "a key is a text")
        return None

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text: str = node.value
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text)
                case "float":
                    return float(text)
                case "str":
                    return text
        except ValueError:
            self._note(node, location, f"{text[:40]!r} is not a number")
            return None
        self._note(node, location, f"the tag {node.tag} is not allowed")
        return None

    def _note(self, node: yaml.Node, location: Location, message: str) -> None:
        mark = node.start_mark
        self.errors.append(DocumentError(mark.line + 1, mark.column + 1, field_path(location), message))

    def _refusal(self, line: int, column: int, message: str) -> InvalidDocument:
        return InvalidDocument(self.source, [DocumentError(line, column, "", message)])
