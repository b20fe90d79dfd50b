#!/bin/bash
# Starts the server where it does not run. A real one: systemctl start mariadb
set -eu
pid=$ADD_HOME/$ADD_SERVICE.pid
if [ -e "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; then exit 0; fi
role=slave
if [ "$ADD_NODEPART" = db1 ]; then role=master; fi
setsid stand-in db --pid "$pid" --listen "$(cat "$ADD_HOME/nodeinfo/ip.txt"):$ADD_SERVICE_PORT" --name "$ADD_NODE_ID" --role "$role" \
	>>"$ADD_HOME/$ADD_SERVICE.log" 2>&1 </dev/null &
