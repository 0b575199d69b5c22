#!/bin/sh
exec sleep "${PT_seconds:-5}"
