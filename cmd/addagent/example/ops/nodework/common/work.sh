#!/bin/bash
# For every node: what each machine needs, whatever its part.
set -eu
mkdir -p "$ADD_HOME/example"
echo "node $ADD_NODE_ID, part ${ADD_NODEPART:-none}" >"$ADD_HOME/example/motd.txt"
echo "wrote $ADD_HOME/example/motd.txt"
