#!/bin/bash
# Undoes the set-up. A real one: stop, remove the package and its data.
exec bash "$(dirname "$0")/stop.sh"
