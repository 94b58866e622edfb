# Debian 12 packages, by what they are needed for. Sourced by ./demo, ./check and docker/build.
# shellcheck shell=bash disable=SC2034

# To compile everything.
BUILD_PACKAGES=(
    gcc cmake ninja-build pkg-config
    libzmq3-dev libhiredis-dev libmicrohttpd-dev libssl-dev libjansson-dev libhttp-parser-dev
    uthash-dev libseccomp-dev
)

# To run ./demo.
DEMO_PACKAGES=(redis-server curl)

# To run the unit and integration tests.
TEST_PACKAGES=(
    libcriterion-dev python3 python3-pytest python3-pytest-xdist python3-redis python3-yaml
    python3-zmq redis-server ssh-audit openssh-server openssh-client curl httping procps iproute2 graphviz binutils
)

# To run ./check faults besides.
FAULTS_PACKAGES=(strace faketime iptables util-linux)

# ./check peers
PEERS_PACKAGES=(gearman-job-server gearman-tools beanstalkd python3-celery python3-distributed)

# To run ./check valgrind.
VALGRIND_PACKAGES=(valgrind)

# ./check static: what looks for mistakes without running anything, and the headers of what is tested.
STATIC_PACKAGES=(clang clang-tidy cppcheck libcriterion-dev)

# ./check fuzz
FUZZ_PACKAGES=(clang libclang-rt-dev)

# To run the web tests; node and npm come from here only where there are none.
WEB_PACKAGES=(chromium fonts-dejavu-core)
NODE_PACKAGES=(nodejs npm)

# To run bench/run beside its peers.
BENCH_PACKAGES=(wrk nginx-light libgearman-dev gearman-job-server parallel)

# To run the swarm tests.
SWARM_PACKAGES=(
    docker.io debootstrap iproute2 iptables httping python3 python3-pytest python3-yaml curl
    openssh-client
)

# install_packages NAME...: install what is missing. Says what it does; without root it names what to install.
install_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "$0: these Debian packages are missing and I am not root; as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing: ${missing[*]}" >&2
    # Services that a package brings must not start by themselves here.
    local policy=/usr/sbin/policy-rc.d made_policy=no status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made_policy=yes
    fi
    {
        apt-get -o DPkg::Lock::Timeout=300 update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq \
                --no-install-recommends "${missing[@]}"
    } >"${TMPDIR:-/tmp}/scoop-apt.log" 2>&1 </dev/null || status=$?
    [ "$made_policy" = no ] || rm -f "$policy"
    if [ "$status" -ne 0 ]; then
        echo "$0: apt-get failed; its last lines (all: ${TMPDIR:-/tmp}/scoop-apt.log):" >&2
        tail -n 5 "${TMPDIR:-/tmp}/scoop-apt.log" >&2
    fi
    return "$status"
}
