# The `ivy` program in an image of its own.
#
#   docker build -t ivy .
#   docker run --rm -p 127.0.0.1:8080:8080 ivy                            a local IronMQ server
#   docker run --rm -p 127.0.0.1:8080:8080 -e IVY_SERVE_TOKEN=mine ivy serve --bind 0.0.0.0
#   docker run --rm ivy --help

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p ivy-cli

FROM debian:bookworm-slim
COPY --from=build /src/target/release/ivy /usr/local/bin/ivy
USER nobody
EXPOSE 8080
ENTRYPOINT ["ivy"]
# Inside of a container 127.0.0.1 is out of reach for everybody else.
CMD ["serve", "--bind", "0.0.0.0"]
