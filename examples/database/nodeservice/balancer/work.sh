#!/bin/bash
# Runs at the set-up, and whenever the set of proxies has changed: writes the config, has haproxy check it, and reloads.
# A reload hands the listening sockets on, so no connection is lost.
set -eu
pid=$ADD_HOME/balancer.pid conf=$ADD_HOME/haproxy.cfg
servers=$(addagent services proxy --format haproxy) # within the config below, a failure would leave it without servers
cat >"$conf.new" <<END
defaults
    mode http
    retries 3
    option redispatch
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend clients
    bind $(cat "$ADD_HOME/nodeinfo/ip.txt"):$ADD_SERVICE_PORT
    default_backend proxies
backend proxies
    default-server inter 1s
    option httpchk GET /role
$servers
END
haproxy -c -q -f "$conf.new"
mv "$conf.new" "$conf"
grep '^server' "$conf"
if [ -e "$pid" ] && kill -USR2 "$(cat "$pid")" 2>/dev/null; then exit 0; fi
setsid haproxy -W -D -p "$pid" -f "$conf" >>"$ADD_HOME/balancer.log" 2>&1 </dev/null
