#!/bin/sh
i=0
while [ "$i" -lt "${PT_times:-1}" ]; do echo "${PT_mode:-plain}: $PT_message"; i=$((i + 1)); done
