# unmask in a container: the page on port 8000 by default, or any command:
#   docker run --rm -v "$PWD:/photos" unmask restore /photos/photo.jpg
# Untested: no container engine was at hand when it was written.
# TORCH_INDEX is a package index of PyTorch's CPU builds; without it pip takes the CUDA build, several gigabytes larger.
FROM python:3.12-slim
ARG TORCH_INDEX=
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0 \
 && pip install --no-cache-dir '.[web]' \
 && pip install --no-cache-dir --force-reinstall --no-deps opencv-python-headless \
 && rm -rf /src/*
WORKDIR /photos
RUN useradd --create-home unmask
USER unmask
EXPOSE 8000
ENTRYPOINT ["unmask"]
CMD ["serve", "--host", "0.0.0.0"]
