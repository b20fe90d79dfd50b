#!/bin/bash
# For nodes of part app1: deploy the application.
set -eu
version=$(cat app/version.txt)
echo "$ADD_VERDICT: from ${ADD_PREVIOUS_VERSION:-nothing} to $ADD_VERSION"
mkdir -p "$ADD_HOME/example"
# Copy, then rename: a reader sees either the old file or the new one.
cp app/version.txt "$ADD_HOME/example/.app1.txt"
mv "$ADD_HOME/example/.app1.txt" "$ADD_HOME/example/app1.txt"
echo "app1 is at version $version"
