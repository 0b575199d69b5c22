#!/bin/sh
cat
env | grep "^PT_" | sort
