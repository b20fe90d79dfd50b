#!/bin/bash
# A separate item: it runs after ../../work.sh, even when that fails.
set -eu
echo "$ADD_ITEM of $ADD_REPO ran on $ADD_NODE_ID for $ADD_VERSION" >>"$ADD_TEMP/report.txt"
tail -n 3 "$ADD_TEMP/report.txt"
