# docker build --tag arkd .
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" arkd run smoke
# The CPU build of torch; for the CUDA build: --build-arg TORCH=requirements-cuda.lock
FROM python:3.11.7-slim-bookworm

ARG TORCH=requirements-cpu.lock
ARG INDEX=https://download.pytorch.org/whl/cpu
# Whoever runs it may have no name and no home there.
ENV PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 HOME=/tmp USER=arkd XDG_CACHE_HOME=/tmp/caches

WORKDIR /opt/arkd
COPY requirements.lock requirements-build.lock requirements-cpu.lock requirements-cuda.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements-build.lock \
    && pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
        --extra-index-url "$INDEX" --requirement "$TORCH" \
    && pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
        --requirement requirements.lock

COPY pyproject.toml PYPI.md LICENSE ./
COPY arkd arkd
COPY baselines baselines
COPY benchmarks benchmarks
COPY workflow workflow
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

WORKDIR /work
ENTRYPOINT ["arkd"]
CMD ["--help"]
