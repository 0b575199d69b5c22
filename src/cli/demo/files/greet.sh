#!/bin/sh
# A task of the demo: its parameter comes as a variable, what it prints is its result.
set -eu
echo "$PT_greeting from $(uname -n): $(uname -s) $(uname -r), process $$"
