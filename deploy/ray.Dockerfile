# A machine of a Ray cluster: Ray and jointune. Models and posts are mounted or fetched, not copied in.
#
#   docker build -f deploy/ray.Dockerfile -t jointune-ray .
#
# EXTRAS=ray,serve scores exported models without torch, in a third of the size.

ARG EXTRAS=ray,train,remote

FROM python:3.12-slim-bookworm
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
ARG EXTRAS
# KubeRay submits jobs through Ray's dashboard, which needs ray[default].
RUN python -m venv /opt/jointune \
    && /opt/jointune/bin/pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]" "ray[default]" \
    && rm -rf /build \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin jointune
WORKDIR /home/jointune
ENV PATH=/opt/jointune/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
USER 10001:10001
