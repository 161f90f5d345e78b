# The book without a GPU: what `make book` needs, and a room to grade in what nobody has read.
#
#     docker build -t words-to-pictures .
#     docker run --name book words-to-pictures       # make book: a quarter of an hour on two cores
#     docker cp book:/words-to-pictures/_build/html .
#
# PyPI's PyTorch for Linux on x86 brings 4 GB of CUDA along, for which a CPU has no use. Where
# PyTorch's own index can be reached, its build without CUDA makes a smaller image:
#
#     docker build -t words-to-pictures . \
#         --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu

ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm AS tools
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 reader \
 && install -d -o reader -g reader /words-to-pictures
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /words-to-pictures

# What developers want besides; .devcontainer/devcontainer.json stops here.
FROM tools AS develop
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends bubblewrap chromium fonts-liberation \
 && rm -rf /var/lib/apt/lists/*
USER reader

# The environment first: another text in the book needs no other environment.
FROM tools AS book
ARG TORCH_INDEX=""
USER reader
COPY --chown=reader:reader LICENSE Makefile README.md pyproject.toml ./
COPY --chown=reader:reader cvae_lib cvae_lib
RUN PIP_EXTRA_INDEX_URL="$TORCH_INDEX" make install
COPY --chown=reader:reader . .
# a copied pyproject.toml can look newer than the environment that was made from it
RUN touch .venv/.installed
ENV PATH="/words-to-pictures/.venv/bin:$PATH"
CMD ["make", "book"]
