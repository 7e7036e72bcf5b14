#!/bin/bash
# make lint: format, warnings of both compilers, clang-tidy, cppcheck, the direction of dependencies, sizes.
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0
mapfile -t sources < <(git ls-files '*.c')
mapfile -t headers < <(git ls-files '*.h')
mapfile -t main < <(git ls-files 'common/*.c' 'proxy/*.c')
say() { printf '%s\n' "$*"; }
fail() {
    say "lint: $*"
    bad=1
}

say "format"
clang-format --dry-run -Werror "${sources[@]}" "${headers[@]}" 2>&1 | grep -E 'error:' | head -20
[ "${PIPESTATUS[0]}" = 0 ] || fail "clang-format -i would change these"

say "warnings: gcc and clang"
make --no-print-directory -s -j"$(nproc)" BUILD=release tests-build || fail "gcc"
make --no-print-directory -s -j"$(nproc)" BUILD=clang tests-build || fail "clang"

found=$(nm -D --defined-only build/release/smtptap | grep -E ' [TDBR] ' | grep -v '@')
[ -z "$found" ] || fail "names of ours that libraries would take for theirs:"$'\n'"$found"

say "dependencies"
# forbid FILES PATTERN WHY: these may include no header, of ours or of a library, that matches PATTERN.
# netaddr knows what a sockaddr looks like; it opens none.
forbid() {
    local found
    found=$(git ls-files "$1" | grep -v '^common/netaddr\.c$' | xargs grep -nE "^#include [<\"]($2)" /dev/null)
    [ -z "$found" ] || fail "$3:"$'\n'"$found"
}
forbid 'common/*' 'proxy/|ev\.h|sys/socket\.h|netinet/|syslog\.h' 'common/ may not touch the world'
forbid 'common/smtp/client*' 'common/smtp/server' 'the two roles may not include each other'
forbid 'common/smtp/server*' 'common/smtp/client' 'the two roles may not include each other'
forbid 'proxy/relay/client*' 'proxy/relay/(upstream|relay)' 'the legs may not know each other'
forbid 'proxy/relay/upstream*' 'proxy/relay/(client|relay)' 'the legs may not know each other'
found=$(git ls-files 'common/*' 'proxy/*' | grep -vE '^proxy/net/(stream|tls)|^common/digest' | xargs grep -nE '^#include <openssl/')
[ -z "$found" ] || fail "openssl outside net/ and digest:"$'\n'"$found"
found=$(git ls-files 'common/*' | grep -v '^common/conf' | xargs grep -nE '^#include <(json-c/)?json')
[ -z "$found" ] || fail "json-c outside common/conf:"$'\n'"$found"

say "clang-tidy"
printf '%s\0' "${main[@]}" | xargs -0 -P "$(nproc)" -n 1 clang-tidy --quiet -- -I. -D_GNU_SOURCE -std=gnu11 \
    -DSMTPTAP_VERSION='"0"' $(pkg-config --cflags json-c openssl libcares rdkafka) -DHAVE_RDKAFKA 2>/dev/null | grep -E 'warning:|error:' | sort -u |
    tee build/tidy.txt
[ ! -s build/tidy.txt ] || fail "clang-tidy"

say "cppcheck"
cppcheck -q --std=c11 --language=c -I. -D_GNU_SOURCE --enable=warning,portability,performance --inline-suppr \
    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches --error-exitcode=1 "${main[@]}" ||
    fail "cppcheck"

say "sizes"
/usr/bin/python3 tests/sizes.py "${main[@]}" || fail "sizes"
[ $bad = 0 ] && say "lint: fine"
exit $bad
