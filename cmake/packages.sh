# Debian 12 packages, by what they are needed for. Sourced by ./demo, ./check and docker/build.
# shellcheck shell=bash disable=SC2034

# To compile everything.
BUILD_PACKAGES=(
    gcc cmake ninja-build pkg-config
    libzmq3-dev libhiredis-dev libmicrohttpd-dev libssl-dev libjansson-dev libhttp-parser-dev
    uthash-dev
)

# To run ./demo.
DEMO_PACKAGES=(redis-server curl)

# To run the unit, integration and web tests.
TEST_PACKAGES=(
    libcriterion-dev python3 python3-pytest python3-redis python3-yaml python3-zmq
    redis-server openssh-server openssh-client curl httping procps iproute2
    nodejs npm chromium fonts-dejavu-core shellcheck codespell
)

# To run the swarm tests.
SWARM_PACKAGES=(
    docker.io debootstrap iproute2 iptables httping python3 python3-pytest python3-yaml curl
    openssh-client
)
