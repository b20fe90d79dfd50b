#!/bin/bash
# The set-up. A real one: install the package, copy the data from the master, replicate.
exec bash "$(dirname "$0")/start.sh"
