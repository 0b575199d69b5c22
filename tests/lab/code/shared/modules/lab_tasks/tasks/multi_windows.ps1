param($what, $_installdir)
Write-Output "windows $what"
