# The engine without Redis: give it one with REDIS_URL (compose.yaml shows how).
FROM node:20-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/uws-binaries.sha256 scripts/
COPY src src
COPY bench bench
RUN node scripts/build.mjs
# Only what runs: production packages, and of the native WebSocket binaries the one for this machine, with the bytes we looked at.
RUN npm prune --omit=dev --no-audit --no-fund --loglevel=error \
  && binary="uws_linux_$(node -p process.arch)_$(node -p process.versions.modules).node" \
  && cd node_modules/uWebSockets.js/dist/bin \
  && find . -name '*.node' ! -name "$binary" -delete \
  && grep " $binary\$" /build/scripts/uws-binaries.sha256 | sha256sum -c -

FROM node:20-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    GATEWAY_PORT=8080 \
    CONTROL_PORT=8081
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
# Nothing below /app is written at run time, so it belongs to root and the engine runs as somebody else.
USER node
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Whichever door this container has open: the control API or the gateway, with TLS (whose name is not 127.0.0.1) or without. (A jobs-only container has none: run it with --no-healthcheck.)
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "const { CONTROL_PORT, GATEWAY_PORT } = process.env; process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; const ask = (door) => fetch(`${door}/healthz`).then((answer) => { if (!answer.ok) throw answer; }); Promise.any([`http://127.0.0.1:${CONTROL_PORT}`, `http://127.0.0.1:${GATEWAY_PORT}`, `https://127.0.0.1:${GATEWAY_PORT}`].map(ask)).then(() => process.exit(0), () => process.exit(1))"]
# Room for the short-lived objects of a rush: see bench/README.md.
ENTRYPOINT ["node", "--max-semi-space-size=64", "dist/src/cli/main.js"]
CMD ["serve"]
