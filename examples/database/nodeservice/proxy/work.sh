#!/bin/bash
# Runs at the set-up, and whenever the set of databases has changed: the proxy is told by a file.
set -euo pipefail
conf=$ADD_HOME/proxy.conf
for role in master slave; do
	addagent services db --role "$role" --format env | sed "s/^DB_ADDRESSES/$role/"
done >"$conf.new"
mv "$conf.new" "$conf"
cat "$conf"
exec bash "$(dirname "$0")/start.sh"
