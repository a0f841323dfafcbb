# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep the dependencies between builds; the binary must leave them within the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p server \
    && install -D target/release/predictive-scaler /out/predictive-scaler \
    && install -d /out/models

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/predictive-scaler /usr/local/bin/predictive-scaler
# A volume that is mounted here empty takes over this folder's owner.
COPY --from=build --chown=65532:65532 /out/models /var/lib/predictive-scaler/models
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/predictive-scaler"]
CMD ["serve"]
