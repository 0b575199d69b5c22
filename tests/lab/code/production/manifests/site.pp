# How a node's run ends is said by the fact lab_mode, or else by the file @LAB@/modes/CERTNAME, read at each compilation.
$lab_root = "@LAB@/agents/${trusted['certname']}/root"
$lab_mode = strip(file("@LAB@/modes/${trusted['certname']}", '/dev/null'))

node default {
  class { 'lab_base': root => $lab_root, mode => $lab_mode }
}

node /^node2\./ {
  class { 'lab_base': root => $lab_root, mode => $lab_mode }
  class { 'lab_web': root => $lab_root, port => 8081 }
}
