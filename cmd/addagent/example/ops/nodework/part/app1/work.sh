#!/bin/bash
# Nodes of part app1: put the application where it runs.
set -eu
version=$(cat app/version.txt)
echo "$ADD_VERDICT: from ${ADD_PREVIOUS_VERSION:-nothing} to $ADD_VERSION"
mkdir -p "$ADD_HOME/example"
# Beside, then renamed: whoever reads it meanwhile sees the old one or the new one.
cp app/version.txt "$ADD_HOME/example/.app1.txt"
mv "$ADD_HOME/example/.app1.txt" "$ADD_HOME/example/app1.txt"
echo "app1 is at version $version"
