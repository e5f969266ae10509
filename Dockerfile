# A CPU or a CUDA image; neither needs a clone at run time.
#
# > docker build -t c2ser .
# > docker build -t c2ser:cuda --build-arg DEVICE=cuda .
# > docker run --rm -v "$PWD:/data" c2ser classify --model FOLDER speech.wav
# > docker run --rm -v "$PWD:/data" -p 127.0.0.1:7860:7860 c2ser \
#       serve --host 0.0.0.0 --model FOLDER
# CUDA: docker run --gpus all ...
ARG DEVICE=cpu

FROM debian:trixie-slim AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates ffmpeg python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/c2ser/bin:$PATH

# Debian's own torch is built for CPUs; the registry's brings CUDA's libraries.
FROM base AS cpu
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3-torch python3-torchaudio \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --system-site-packages /opt/c2ser

FROM base AS cuda
RUN python3 -m venv /opt/c2ser \
    && pip install --no-cache-dir torch==2.11.0 torchaudio==2.11.0

# hadolint ignore=DL3006
FROM ${DEVICE} AS image
COPY . /tmp/source
# The torch that is there stays: pip takes the newest of the rest beside it.
RUN python -c 'import torch, torchaudio; \
        print(f"torch=={torch.__version__}"); \
        print(f"torchaudio=={torchaudio.__version__}")' > /tmp/torch.txt \
    && pip install --no-cache-dir -c /tmp/torch.txt \
        '/tmp/source[demo,formats,serve]' \
    && rm -r /tmp/source /tmp/torch.txt \
    && c2ser --help > /dev/null \
    && useradd --create-home --uid 1000 c2ser
USER 1000
WORKDIR /data
EXPOSE 7860
ENTRYPOINT ["c2ser"]
CMD ["--help"]
