# @summary Say something everywhere, then look at the answer
# @param nodes where
# @param message what
plan lab_tasks(TargetSpec $nodes, String[1] $message = 'hi') {
  $said = run_task('lab_tasks', $nodes, 'message' => $message)
  $seen = run_task('lab_tasks::inspect', $nodes, 'name' => $message)
  return({ 'said' => $said, 'seen' => $seen })
}
