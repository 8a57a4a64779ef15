# syntax=docker/dockerfile:1
# dbsync as a service: docs/container.md says how to use it, and what of this was not run.

FROM python:3.12-slim-bookworm AS build

# Debian's postgresql-common carries the key of PostgreSQL's own package repository, so the key is
# trusted because Debian signed it. No version is pinned: security updates are wanted.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-common \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY dbsync dbsync
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels ".[all]"


FROM python:3.12-slim-bookworm

# pg_dump must not be older than the server, so it comes from PostgreSQL's repository, newest first.
COPY --from=build /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc /usr/share/keyrings/
# hadolint ignore=DL3008
RUN echo "deb [signed-by=/usr/share/keyrings/apt.postgresql.org.asc] https://apt.postgresql.org/pub/repos/apt bookworm-pgdg main" \
        > /etc/apt/sources.list.d/pgdg.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-18 mariadb-client-core \
    && rm -rf /var/lib/apt/lists/*

# Only wheels of the first stage can be installed here. Google's library describes hundreds of its
# services, of which dbsync uses one.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-index --find-links /wheels "dbsync[all]" \
    && rm -rf /usr/local/lib/python3.12/site-packages/pyarrow/include \
        /usr/local/lib/python3.12/site-packages/pyarrow/tests \
    && find /usr/local/lib/python3.12/site-packages/googleapiclient/discovery_cache/documents \
        -type f ! -name drive.v3.json -delete \
    && useradd --uid 10001 --shell /usr/sbin/nologin --home-dir /var/lib/dbsync --create-home dbsync \
    && dbsync --version

USER 10001
WORKDIR /var/lib/dbsync
# A rehearsal's database is as large as the data: it belongs on a disk, which /tmp may not be.
ENV DBSYNC_STATE=/var/lib/dbsync/state.json \
    DBSYNC_PROGRESS=no \
    TMPDIR=/var/lib/dbsync
VOLUME /var/lib/dbsync

# A service that has not yet made its first archive is healthy until that is overdue.
HEALTHCHECK --interval=5m --timeout=30s --start-period=1m --retries=2 CMD ["dbsync", "health"]

ENTRYPOINT ["dbsync"]
CMD ["schedule"]
