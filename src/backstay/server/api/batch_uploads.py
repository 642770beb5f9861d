"""Jobs created from files."""

from typing import Annotated, Literal

from fastapi import File, Form, Request, UploadFile
from pydantic import Field
from starlette.responses import Response

from backstay.batch.item_columns import ColumnMapping
from backstay.limits import MAX_NAME
from backstay.readers.bad_rows import BadRowsReport
from backstay.readers.read_options import ReadOptions
from backstay.schemas import NewJobOut
from backstay.server import uploads
from backstay.server.api.batches import Attempts, Concurrency, JobName, Name, Rpm, Seconds, Tpm
from backstay.server.api.common import OnBadRow, OwnerServices, State, Text, errors, token_scheme
from backstay.server.api.reading import Delimiter, Encoding
from backstay.server.idempotency import IdempotencyKey, MakeReceipt, respond_once
from backstay.server.requested_processor import requested_processor
from backstay.server.routers import Router

router = Router(prefix="/api/batches", tags=["batches"], dependencies=[token_scheme])

Column = Annotated[Text, Field(min_length=1, max_length=MAX_NAME)]


@router.post("/upload", status_code=201, response_model=NewJobOut, responses=errors(403, 408, 409, 413, 415, 429))
async def upload_batch(
    request: Request,
    services: OwnerServices,
    state: State,
    file: Annotated[UploadFile, File(description="CSV, TSV, JSONL, JSON, Parquet or text, also compressed.")],
    job_id: Annotated[JobName, Form(alias="jobId")],
    recipe: Annotated[Name | None, Form()] = None,
    processor: Annotated[Name | None, Form()] = None,
    max_attempts: Annotated[Attempts, Form(alias="maxAttempts")] = 3,
    timeout_seconds: Annotated[Seconds, Form(alias="timeoutSeconds")] = 600.0,
    id_column: Annotated[Column | None, Form(alias="idColumn")] = None,
    topic_column: Annotated[Column | None, Form(alias="topicColumn")] = None,
    persona_column: Annotated[Column | None, Form(alias="personaColumn")] = None,
    on_bad_row: Annotated[
        OnBadRow, Form(alias="onBadRow", description="If a row cannot be used: create nothing, or leave it out.")
    ] = "fail",
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    start: Annotated[Literal["true", "false"], Form(description="Start working on the job at once.")] = "true",
    concurrency: Annotated[Concurrency | None, Form()] = None,
    rpm: Annotated[Rpm | None, Form()] = None,
    tpm: Annotated[Tpm | None, Form()] = None,
    key: IdempotencyKey = None,
) -> Response:
    """Create a job from the rows of a file. Columns other than id, topic and persona become parameters."""
    writer = requested_processor(state.allowed, recipe=recipe, processor=processor)
    read = ReadOptions(encoding, delimiter)
    columns = ColumnMapping(id_column, topic_column, persona_column)
    async with uploads.store_upload(file, uploads.ITEM_SUFFIXES, state.files) as upload:

        async def create(_: MakeReceipt | None) -> tuple[int, NewJobOut]:
            reports = [BadRowsReport()]
            job = await services.batches.create(
                job_id,
                upload.path,
                writer,
                max_attempts=max_attempts,
                timeout_seconds=timeout_seconds,
                columns=columns,
                on_bad_row=on_bad_row,
                report_bad_rows=reports.append,
                read=read,
                on_note=upload.add_note,
                ceiling=state.settings.item_ceiling,
                concurrency=concurrency,
                rpm=rpm,
                tpm=tpm,
            )
            if start == "true":
                job = await state.supervisor.start(services.owner, job.id)
            return 201, NewJobOut.from_job_and_report(job, reports[-1], upload.notes)

        limits = [concurrency, rpm, tpm]
        columns_read = [id_column, topic_column, persona_column]
        file_content = [upload.digest, upload.suffix, encoding, delimiter, *columns_read, on_bad_row]
        content = [job_id, *file_content, recipe, processor, max_attempts, timeout_seconds, start, limits]
        return await respond_once(request, key, content, create, location="/api/batches/{id}")
