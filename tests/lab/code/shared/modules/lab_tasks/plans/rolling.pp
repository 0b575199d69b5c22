# @summary One node after another, stop at the first failure
plan lab_tasks::rolling(Array[String] $nodes, Integer $code = 3) {
  $nodes.each |$n| { run_task('lab_tasks::fails', $n, 'code' => $code) }
}
