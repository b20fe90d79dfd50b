#!/bin/bash
# Runs on the doctor's machine for each event of a service.
echo "$ADD_EVENT_NAME on $ADD_EVENT_NODE: ${ADD_EVENT_PREVIOUS_STATE:-new} -> $ADD_EVENT_STATE ($ADD_EVENT_CODE)" >>"$HOME/events.txt"
