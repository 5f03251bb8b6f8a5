# One static binary, a non-root user, the example dialplans. Build: docker build -t voxtrunk .
# Run: docker run --network host -v ./voxtrunk.toml:/etc/voxtrunk/voxtrunk.toml:ro -v ./dialplans:/etc/voxtrunk/dialplans:ro voxtrunk
FROM rust:1.95-bookworm AS build
# The musl target makes the binary static; ring needs a C compiler for it.
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools && rm -rf /var/lib/apt/lists/* \
 && rustup target add x86_64-unknown-linux-musl
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Dependencies first, so that a change of the sources does not rebuild them.
RUN mkdir -p src benches examples tests && echo 'fn main() {}' > src/main.rs && echo '' > src/lib.rs \
 && cargo fetch --locked
COPY src src
COPY assets assets
COPY dialplans dialplans
COPY benches benches
COPY examples examples
COPY tests tests
COPY README.md ./
RUN cargo build --locked --profile dist --target x86_64-unknown-linux-musl --bin voxtrunk

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/voxtrunk --create-home voxtrunk
COPY --from=build /src/target/x86_64-unknown-linux-musl/dist/voxtrunk /usr/local/bin/voxtrunk
COPY --from=build /src/dialplans /etc/voxtrunk/dialplans
USER voxtrunk
WORKDIR /var/lib/voxtrunk
# SIP (UDP and TCP), RTP, metrics and health (loopback inside the container's network by default).
EXPOSE 5060/udp 5060/tcp 20000-29999/udp
ENV VOXTRUNK__DIALPLANS=/etc/voxtrunk/dialplans
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["voxtrunk", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["voxtrunk"]
CMD ["serve"]
