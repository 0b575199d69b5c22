#!/bin/sh
. "$PT__installdir/lab_tasks/lib/helper.sh"
helper "$PT_what"
cat "$PT__installdir/lab_base/files/shipped.txt"
