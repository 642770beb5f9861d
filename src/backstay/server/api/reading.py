"""Form fields that say how an uploaded file is read."""

from typing import Annotated

from fastapi import Form
from pydantic import Field

from backstay.limits import MAX_NAME
from backstay.server.api.common import Text

_Option = Annotated[Text, Field(min_length=1, max_length=MAX_NAME)]

Encoding = Annotated[
    _Option | None, Form(description="Encoding of the text, such as cp1252; UTF-8 if omitted, unless it is marked.")
]
Delimiter = Annotated[
    _Option | None, Form(description="Character between the cells of CSV, or `tab`; detected if omitted.")
]
