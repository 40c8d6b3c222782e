# docker build -t lossd .
# For this machine, without tokens:
# docker run --rm -p 127.0.0.1:8080:8080 -e LOSSD_ALLOW_UNAUTHENTICATED=on lossd
# With tokens:
# docker run --rm -p 8080:8080 -v ./tokens:/tokens:ro -e LOSSD_TOKEN_FILE=/tokens lossd
# `docker run --rm lossd --new-token NAME >> tokens` creates a token. Without tokens or
# LOSSD_ALLOW_UNAUTHENTICATED, the server does not start, because it listens on every address of the
# container.
#
# The image also contains lossctl:
# docker run --rm --entrypoint lossctl -v ./data:/data:ro lossd eval mse --local ...
ARG BASE=debian:12-slim

FROM ${BASE} AS build
WORKDIR /src
# Copied first, so that changes to the sources do not invalidate the layer of the packages.
COPY deploy/install-deps.sh deploy/
RUN deploy/install-deps.sh \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
       libcurl4-openssl-dev
COPY . .
RUN make WERROR= build/lossd build/lossctl && strip build/lossd build/lossctl

FROM ${BASE}
LABEL org.opencontainers.image.title="lossd" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.description="Loss functions and their gradients over HTTP and JSON" \
      org.opencontainers.image.licenses="MIT"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
       libcurl4 libgnutls30 libgomp1 libjansson4 libmicrohttpd12 libseccomp2 libzstd1 zlib1g \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/lossd /src/build/lossctl /usr/local/bin/
COPY --from=build /src/LICENSE /usr/share/doc/lossd/LICENSE

# A number, because Kubernetes' runAsNonRoot cannot check a name.
USER 65532:65532
# If the kernel does not support the system call filter, for example under emulation, set
# LOSSD_SECCOMP=off.
ENV LOSSD_LISTEN=0.0.0.0:8080 LOSSD_SECCOMP=on
EXPOSE 8080
STOPSIGNAL SIGTERM
# bash opens the connection, so the image does not need curl. The container is unhealthy while it
# drains. The check does not support TLS: with LOSSD_TLS_CERT, also set
# LOSSD_ADMIN_LISTEN=127.0.0.1:9090, which the check then uses.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["bash", "-c", "\
    address=${LOSSD_ADMIN_LISTEN:-$LOSSD_LISTEN} \
    && exec 3<>\"/dev/tcp/127.0.0.1/${address##*:}\" \
    && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 \
    && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["lossd"]
