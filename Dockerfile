# The server, as one image. Settings come from the environment, or from a holdfast.toml mounted at /srv/holdfast.
FROM python:3.12-slim AS build

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/holdfast \
    && /opt/holdfast/bin/pip install --no-cache-dir --constraint constraints.txt ".[server,postgres]"

FROM python:3.12-slim

ENV PATH="/opt/holdfast/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOLDFAST_HOST=0.0.0.0 \
    BACKUP_DIRECTORY=/var/lib/holdfast/backups

RUN useradd --system --uid 10001 --home-dir /srv/holdfast --create-home --shell /usr/sbin/nologin holdfast \
    && install --directory --owner=holdfast --group=holdfast --mode=0700 /var/lib/holdfast

COPY --from=build /opt/holdfast /opt/holdfast

USER 10001
WORKDIR /srv/holdfast
VOLUME ["/var/lib/holdfast"]
EXPOSE 8717
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8717/readyz', timeout=4)"]

ENTRYPOINT ["holdfast", "--log-format", "json"]
CMD ["serve"]
