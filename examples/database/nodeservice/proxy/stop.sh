#!/bin/bash
# Stops the proxy, and waits until it has ended.
set -eu
pid=$(cat "$ADD_HOME/$ADD_SERVICE.pid" 2>/dev/null) || exit 0
kill "$pid" 2>/dev/null || exit 0
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
