"""The pages of a server as a user without scripts walks them: follow every link, read every form."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

_NO_PAGES = ("/static/", "/api/", "/openapi.json")


@dataclass
class Field:
    """Control of a form, with the value that it sends if nobody changes it."""

    name: str
    value: str
    kind: str
    is_required: bool

    @property
    def may_be_empty(self) -> bool:
        return not self.is_required and self.kind not in ("hidden", "checkbox", "radio", "file")


@dataclass(frozen=True)
class Button:
    """Submit button of a form, with its action and label."""

    method: str
    action: str
    sent: dict[str, str]


@dataclass
class Form:
    """Form of a page."""

    page: str
    method: str
    action: str
    fields: list[Field] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)

    def sent(self, button: Button, empty: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the keyword arguments for an HTTP client that submits a form with these fields empty."""
        values: dict[str, list[str]] = {}
        files = {}
        for control in self.fields:
            if control.kind == "file":
                files[control.name] = ("topics.csv", b"topic\nBoats\n")
            elif control.kind not in ("checkbox", "radio") or control.value:
                values.setdefault(control.name, []).append("" if control.name in empty else control.value)
        data = values | button.sent
        if button.method == "get":
            return {"method": "GET", "url": button.action, "params": data}
        return {"method": "POST", "url": button.action, "data": data} | ({"files": files} if files else {})

    def presses(self) -> Iterator[tuple[Button, tuple[str, ...]]]:
        """Yield each button with each optional field left empty, and with all of them."""
        optional = tuple(dict.fromkeys(control.name for control in self.fields if control.may_be_empty))
        for button in self.buttons:
            yield from ((button, empty) for empty in dict.fromkeys([(), *((name,) for name in optional), optional]))


class _Page(HTMLParser):
    """Parser of the links, forms and the title of a page."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.title = ""
        self._form: Form | None = None
        self._select: Field | None = None
        self._textarea: Field | None = None
        self._is_first = True
        self._is_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self._is_title = tag == "title"
        if tag == "a" and "href" in attributes:
            self.links.append(urljoin(self.address, attributes["href"]))
        elif tag == "form":
            self._form = Form(self.address, attributes.get("method", "get"), attributes.get("action", self.address))
            self.forms.append(self._form)
        elif self._form is not None:
            self._control(self._form, tag, attributes)

    def _control(self, form: Form, tag: str, attributes: dict[str, str]) -> None:
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag in ("input", "select") and name:
            form.fields.append(Field(name, value, attributes.get("type", tag), "required" in attributes))
            self._select, self._is_first = (form.fields[-1] if tag == "select" else None), True
        elif tag == "textarea" and name:
            self._textarea = Field(name, "", tag, "required" in attributes)
            form.fields.append(self._textarea)
        elif tag == "option" and self._select is not None:
            if "selected" in attributes or self._is_first:
                self._select.value = value
            self._is_first = False
        elif tag == "button" and attributes.get("type", "submit") == "submit":
            method, action = attributes.get("formmethod", form.method), attributes.get("formaction", form.action)
            form.buttons.append(Button(method, action, {name: value} if name else {}))

    def handle_endtag(self, tag: str) -> None:
        self._form = None if tag == "form" else self._form
        self._select = None if tag == "select" else self._select
        if tag == "textarea" and self._textarea is not None:
            self._textarea.value = self._textarea.value.removeprefix("\n")  # as a browser does
            self._textarea = None
        self._is_title = False

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.title += data
        if self._textarea is not None:
            self._textarea.value += data


@dataclass
class Walk:
    """Walk over all pages that links and harmless forms lead to."""

    titles: dict[str, str] = field(default_factory=dict)
    forms: list[Form] = field(default_factory=list)

    async def over(self, client: httpx.AsyncClient, *starts: str) -> "Walk":
        """Read each page that can be reached from these, one for each set of links and forms."""
        waiting, seen = list(starts), set(starts)
        while waiting:
            address = waiting.pop(0)
            answer = await client.get(address)
            if "text/html" not in answer.headers.get("content-type", ""):
                continue
            self.read(address, answer.text)
            for link in self._links:
                target = urlsplit(link)
                path = f"{target.path}?{target.query}" if target.query else target.path
                if not target.netloc and path not in seen and not path.startswith(_NO_PAGES):
                    seen.add(path)
                    waiting.append(path)
        return self

    def read(self, address: str, text: str) -> None:
        """Read one page."""
        page = _Page(address)
        page.feed(text)
        self.titles[address] = page.title
        self.forms += page.forms
        self._links = page.links
