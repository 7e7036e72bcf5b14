#!/bin/bash
# make test-stack: the files of deploy/ between the real program and the real OpenSearch, Kafka, rsyslog, logrotate,
# fail2ban and journald. Closes with pytest's line of counts.
set -eu
cd "$(dirname "$0")/../.."
make --no-print-directory -s all
built=build/stack
if ! [ $built/stamp -nt tests/stack/pom.xml ] || [ -n "$(find tests/stack/opensearch tests/stack/kafka -newer $built/stamp -type f)" ]; then
    mkdir -p $built
    mvn -B -q -f tests/stack/pom.xml process-classes
    touch $built/stamp
fi
export SMTPTAP=$PWD/build/release/smtptap
exec /usr/bin/python3 -m pytest -q tests/stack "$@"
