#!/bin/sh
# Installs smtptap's pipelines, templates and lifecycle policies in Elasticsearch (8.x, 9.x) or OpenSearch (2.12 and later):
#   install.sh [URL]        default http://127.0.0.1:9200
# CURL may hold the command with credentials: CURL='curl -u elastic:... --cacert ca.pem' install.sh https://...
# May be run again: everything is replaced by what is here. An index that exists takes new mappings at its next rollover.
set -eu
here=$(dirname "$0")
url=${1:-http://127.0.0.1:9200}
url=${url%/}
curl=${CURL:-curl}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# put PATH FILE: the answer's status in $status.
put() {
    # shellcheck disable=SC2086 # a command with its arguments
    status=$($curl -sS -o "$answer" -w '%{http_code}' -X PUT -H 'Content-Type: application/json' \
        --data-binary "@$here/$2" "$url/$1") || exit 1
}

must() {
    put "$1" "$2"
    case $status in
    2??) echo "ok    $1" ;;
    *)
        echo "$1: $status $(cat "$answer")" >&2
        exit 1
        ;;
    esac
}

# shellcheck disable=SC2086
about=$($curl -sSf "$url/") || exit 1
engine=elasticsearch
case $about in *opensearch*) engine=opensearch ;; esac
echo "$engine at $url"

for what in events wire; do
    if [ $engine = elasticsearch ]; then
        must "_ilm/policy/smtptap-$what" "elasticsearch/policy-$what.json"
    else
        put "_plugins/_ism/policies/smtptap-$what" "opensearch/policy-$what.json"
        case $status in
        2??) echo "ok    _plugins/_ism/policies/smtptap-$what" ;;
        409) echo "kept  _plugins/_ism/policies/smtptap-$what: it is there; change it with its seq_no, see the README" ;;
        400) echo "none  _plugins/_ism/policies/smtptap-$what: no Index State Management in this OpenSearch; records are kept for ever" >&2 ;;
        *)
            echo "policy smtptap-$what: $status $(cat "$answer")" >&2
            exit 1
            ;;
        esac
    fi
done
for format in native ecs; do
    must "_ingest/pipeline/smtptap-$format" "pipeline-$format.json"
    must "_component_template/smtptap-$format" "component-$format.json"
done
for what in events wire; do
    must "_component_template/smtptap-$what" "$engine/component-$what.json"
    must "_index_template/smtptap-$what" "template-$what.json"
done
must _index_template/smtptap-ecs template-ecs.json
