#!/bin/bash
set -eu
bash "$(dirname "$0")/stop.sh"
bash "$(dirname "$0")/start.sh"
