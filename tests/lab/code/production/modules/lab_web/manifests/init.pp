class lab_web (String[1] $root, Integer[1, 65535] $port = 8080) {
  file { "${root}/web.conf": content => "port=${port}\n" }
}
