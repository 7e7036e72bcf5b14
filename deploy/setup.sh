#!/bin/sh
# Installs what a job needs on Debian 12: setup.sh build|test|bench|stack. Does nothing where all of it is there.
set -eu

build='gcc make pkg-config libc6-dev libev-dev libssl-dev libjson-c-dev libc-ares-dev libcrypt-dev
  librdkafka-dev'
test="$build clang libclang-rt-14-dev clang-format clang-tidy cppcheck libcmocka-dev
  python3 python3-pytest python3-pytest-xdist python3-pytest-timeout
  postfix haproxy swaks curl msmtp openssl procps testssl.sh nodejs node-nodemailer rsyslog rsyslog-openssl
  dovecot-core dovecot-lmtpd libnet-ssleay-perl libauthen-sasl-perl
  libdb5.3 libgnutls-dane0 libidn12 libnsl2"
bench="$build python3 postfix haproxy nginx libnginx-mod-mail procps valgrind"
stack="$build python3 python3-pytest python3-pytest-timeout python3-matplotlib python3-yaml openssl procps
  rsyslog rsyslog-elasticsearch rsyslog-kafka logrotate fail2ban kcat default-jdk-headless maven"

case ${1:-} in
build) want=$build ;;
test) want=$test ;;
bench) want=$bench ;;
stack) want=$stack ;;
*)
    echo "usage: $0 build|test|bench|stack" >&2
    exit 2
    ;;
esac

missing=
for package in $want; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
# A second MTA can't be installed beside Postfix: the tests have their own copy, which asks for this user.
exim=$(cd "$(dirname "$0")/.." && pwd)/build/peers/exim
add_exim=
if [ "$1" = test ] && [ "$(dpkg --print-architecture 2>/dev/null)" ]; then
    [ -x "$exim/usr/sbin/exim4" ] && id Debian-exim >/dev/null 2>&1 || add_exim=1
fi
[ -n "$missing$add_exim" ] || exit 0

echo "setup: installing$missing${add_exim:+ a copy of exim4-daemon-light}" >&2
if ! command -v apt-get >/dev/null; then
    echo "setup: no apt-get here; install the equivalents of:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: needs root once; run as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

# The packages' own daemons must not start: the tests run private instances.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    made_policy=1
fi
undo() { [ -z "$made_policy" ] || $as_root rm -f $policy; }
trap undo EXIT
case $missing in
*postfix*) echo 'postfix postfix/main_mailer_type select No configuration' | $as_root debconf-set-selections ;;
esac
$as_root apt-get -q update >&2
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $missing >&2
fi
if [ -n "$add_exim" ]; then
    id Debian-exim >/dev/null 2>&1 || $as_root useradd -r -M -d /nonexistent -s /usr/sbin/nologin Debian-exim
    mkdir -p "$exim"
    (cd "$exim" && apt-get -q download exim4-daemon-light >&2 && dpkg -x exim4-daemon-light_*.deb . &&
        rm exim4-daemon-light_*.deb)
fi
