# The server, as one image. It writes only to the volume and to /tmp. Settings come from the environment, or from a
# backstay.toml mounted into the folder where it starts.
FROM python:3.12-slim AS build

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/backstay \
    && /opt/backstay/bin/pip install --no-cache-dir --constraint constraints.txt ".[server,postgres]"

FROM python:3.12-slim

ENV PATH="/opt/backstay/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BACKSTAY_HOST=0.0.0.0 \
    BACKUP_DIRECTORY=/var/lib/backstay/backups

RUN useradd --system --uid 10001 --home-dir /var/lib/backstay --no-create-home --shell /usr/sbin/nologin backstay \
    && install --directory --owner=backstay --group=backstay --mode=0700 /var/lib/backstay

COPY --from=build /opt/backstay /opt/backstay

USER 10001
# Without a database address the library is created where the server starts, so that folder must be the volume.
WORKDIR /var/lib/backstay
VOLUME ["/var/lib/backstay"]
EXPOSE 8717
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:%s/readyz' % (os.environ.get('BACKSTAY_PORT') or 8717), timeout=4)"]

ENTRYPOINT ["backstay", "--log-format", "json"]
CMD ["serve"]
