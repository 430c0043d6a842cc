FROM python:3.11-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /build
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY db db
COPY assist assist
COPY notify notify
COPY resolvers resolvers
COPY schema schema
COPY server server
ENV UV_PROJECT_ENVIRONMENT=/opt/handoff UV_PYTHON_DOWNLOADS=never
# --build-arg EXTRAS="--extra ai": with what a language model needs.
ARG EXTRAS=""
RUN uv sync --frozen --no-default-groups --no-editable $EXTRAS

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data handoff \
    && install --directory --owner=handoff --group=handoff /data /data/var /data/var/mail
COPY --from=build /opt/handoff /opt/handoff
# Every address of the container: HANDOFF_PUBLIC_URL has to say what people reach it by.
ENV PATH=/opt/handoff/bin:$PATH PYTHONUNBUFFERED=1 HANDOFF_HOST=0.0.0.0
USER handoff
WORKDIR /data
VOLUME /data/var
EXPOSE 8000
# Of a node. A container that runs "handoff worker" listens on no port: switch this off there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('HANDOFF_PORT', '8000') + '/healthz', timeout=4)"]
ENTRYPOINT ["handoff"]
CMD ["serve"]
