#!/bin/sh
echo bad
