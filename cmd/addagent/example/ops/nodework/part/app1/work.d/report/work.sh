#!/bin/bash
# An item of its own: it runs after ../../work.sh, and one failing does not stop the other.
set -eu
echo "$ADD_ITEM of $ADD_REPO ran on $ADD_NODE_ID for $ADD_VERSION" >>"$ADD_TEMP/report.txt"
tail -n 3 "$ADD_TEMP/report.txt"
