# @summary Files and outcomes that show what a run did. All of them lie below one directory.
# @param root that directory
# @param message what the node's message of the day says
# @param mode how the run ends: ok, change, fail, mixed, compile_error, or "slow SECONDS"
class lab_base (
  String[1] $root,
  String    $message = 'hello',
  String    $mode    = '',
) {
  # Facts that come from the agent's environment (FACTER_lab_mode=fail) go before the parameter.
  $wanted = $facts['lab_mode'] ? {
    undef   => $mode,
    default => String($facts['lab_mode']),
  }
  if $wanted == 'compile_error' {
    fail("lab_mode asks for a compile error on ${trusted['certname']}")
  }
  file { $root: ensure => directory }
  -> file { "${root}/motd": content => "${message} from ${server_facts['environment']}\n" }
  -> file { "${root}/shipped.txt": source => 'puppet:///modules/lab_base/shipped.txt' }
  if $wanted in ['change', 'mixed'] {
    exec { 'always changes': command => '/bin/true', require => File[$root] }
  }
  if $wanted in ['fail', 'mixed'] {
    exec { 'always fails': command => '/bin/false', require => File[$root] }
    -> notify { 'skipped because of the failure': }
  }
  if $wanted =~ /^slow(?: +(\d+))?$/ {
    $seconds = $1 ? { undef => '30', default => $1 }
    file { "${root}/started": content => "${seconds}\n", require => File[$root] }
    -> exec { 'takes long': command => "/bin/sleep ${seconds}", timeout => 0 }
  }
}
