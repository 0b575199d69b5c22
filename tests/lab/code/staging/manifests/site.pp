node default {
  class { 'lab_base': root => "@LAB@/agents/${trusted['certname']}/root", message => 'staged' }
}
