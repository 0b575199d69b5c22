#!/bin/sh
echo preview
