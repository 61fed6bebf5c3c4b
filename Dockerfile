# docker build -t socialjax .                                  CPU
# docker build -t socialjax:gpu --build-arg JAX=cuda13 .       NVIDIA GPU (cuda12 for older drivers)
# docker run --rm -v "$PWD/mine:/data/mine:ro" -v "$PWD/runs:/socialjax/runs" \
#     socialjax -m socialjax train bpr --data.name mine        with a GPU: --gpus all
FROM python:3.11-slim-bookworm

ARG JAX=cpu
# Extras of pyproject.toml, separated by commas, such as vision,video.
ARG EXTRAS=""
# The user in the container; that of your folders, so that both may write there.
ARG USER_ID=1000

WORKDIR /socialjax
# What is installed depends on these files alone, so that a change of the code installs nothing anew.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY socialjax/__init__.py socialjax/
RUN case "$JAX" in cpu) accelerator= ;; *) accelerator="jax[$JAX]" ;; esac \
    && pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -e ".${EXTRAS:+[$EXTRAS]}" $accelerator
COPY . .
RUN useradd --create-home --uid "$USER_ID" socialjax \
    && mkdir -p runs /data && chown socialjax runs /data
USER socialjax
# The packages of the image; data sets that are mounted below /data are found by their names.
ENV SOCIALJAX_PYTHON=python3 SOCIALJAX_DATA=/data
ENTRYPOINT ["bash", "launch/local.sh"]
CMD ["-m", "socialjax"]
