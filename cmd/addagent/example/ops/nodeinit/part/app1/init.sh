# Sourced after common/init.sh, on nodes of part app1.
date -u +"initialised %Y-%m-%dT%H:%M:%SZ" >"$example_dir/init.txt"
