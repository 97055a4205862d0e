# The engine without Redis: set REDIS_URL (see compose.yaml).
FROM node:20-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/pages.mjs scripts/uws-binaries.sha256 scripts/
COPY src src
RUN node scripts/build.mjs
# Keeps the packages of the engine and, of the native WebSocket binaries, the one for this machine.
# Its bytes must be the recorded ones.
RUN npm prune --omit=dev --no-audit --no-fund --loglevel=error \
  && binary="uws_linux_$(node -p process.arch)_$(node -p process.versions.modules).node" \
  && cd node_modules/uWebSockets.js/dist/bin \
  && find . -name '*.node' ! -name "$binary" -delete \
  && grep " $binary\$" /build/scripts/uws-binaries.sha256 | sha256sum -c -

FROM node:20-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    GATEWAY_PORT=8080 \
    CONTROL_PORT=8081 \
    METRICS_PORT=8082
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist/src dist/src
# For ARCHIVE_DIR: a volume that is mounted here belongs to the user of the engine. Without one
# shows stay in Redis, because an archive in a container would be lost with it.
RUN install -d -o node -g node -m 700 /archive
# The engine writes nothing below /app, so root owns it and another user runs the engine.
USER node
EXPOSE 8080 8081 8082
STOPSIGNAL SIGTERM
# METRICS_PORT is served with every role, without TLS.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD node -e ' \
  fetch(`http://127.0.0.1:${process.env.METRICS_PORT}/healthz`) \
    .then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))'
# A large young generation for the short-lived objects of a rush: see bench/README.md.
ENTRYPOINT ["node", "--max-semi-space-size=64", "dist/src/cli/main.js"]
CMD ["serve"]
