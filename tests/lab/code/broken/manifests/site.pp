node default {
  file { '/nowhere': ensure => 
