#!/bin/bash
# Passes when the proxy answers.
set -eu
exec 3<>"/dev/tcp/$(cat "$ADD_HOME/nodeinfo/ip.txt")/$ADD_SERVICE_PORT"
printf 'GET /role HTTP/1.0\r\n\r\n' >&3
grep '^role=' <&3
