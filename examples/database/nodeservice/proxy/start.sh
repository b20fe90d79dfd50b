#!/bin/bash
# Starts the proxy where it does not run.
set -eu
pid=$ADD_HOME/$ADD_SERVICE.pid
if [ -e "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; then exit 0; fi
setsid stand-in proxy --pid "$pid" --listen "$(cat "$ADD_HOME/nodeinfo/ip.txt"):$ADD_SERVICE_PORT" --name "$ADD_NODE_ID" --conf "$ADD_HOME/proxy.conf" \
	>>"$ADD_HOME/$ADD_SERVICE.log" 2>&1 </dev/null &
