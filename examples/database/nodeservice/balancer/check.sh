#!/bin/bash
# Passes when haproxy accepts a connection.
set -eu
exec 3<>"/dev/tcp/$(cat "$ADD_HOME/nodeinfo/ip.txt")/$ADD_SERVICE_PORT"
