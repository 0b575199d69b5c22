# Bolt's transport over PCP: an inventory, plan jobs, tasks with null where nothing is meant, results node by node.

require_relative 'lib'

client = Client.new

connected = client.post('inventory', { nodes: NODES + [AWAY] }, status: 200)['items']
check('one record for each, in order', connected.map { |node| node['name'] } == NODES + [AWAY], connected)
check('who is connected', connected.map { |node| node['connected'] } == NODES.map { true } + [false], connected)

plan = client.post('command/plan_start', { plan_name: 'demo::rolling', description: nil, params: { 'size' => 1 }, sensitive: ['key'] })
check('a plan job has a name', plan['name'] =~ /\A\d+\z/, plan)

def run_task(client, plan, task, nodes, params)
  body = { task: task, environment: nil, noop: nil, params: params, scope: { nodes: nodes }, plan_job: plan }
  started = client.post('command/plan_task', body)
  client.wait(started['job']['name'])
  client.get("jobs/#{started['job']['name']}/nodes")['items']
end

items = run_task(client, plan['name'], 'demo::greet', NODES, {})
check('the names that were asked for', items.map { |node| node['name'] }.sort == NODES.sort, items)
items.each do |node|
  check('a finished node', node['state'] == 'finished', node)
  check('its result', node['result'].is_a?(Hash) && !node['result'].key?('_error'), node)
end

failed = run_task(client, plan['name'], 'probe::fail', [NODES.first], {}).first
error = failed['result']['_error']
check('a failed task says how', failed['state'] == 'failed' && error['kind'] && error['msg'], failed)
check('with its exit code', error['details']['exit_code'] == 3, error)
check('and what it printed', failed['result']['_output'].include?('about to fail'), failed['result'])

away = run_task(client, plan['name'], 'demo::greet', [AWAY], {}).first
check('a node that is away', away['state'] == 'errored', away)
check('says so in _error', away['result']['_error']['kind'] == 'puppetlabs.orchestrator/execution-failure', away['result'])
check('and names itself', away['result']['_error']['details']['node'] == AWAY, away['result'])

client.post('command/plan_finish', { plan_job: plan['name'], result: { 'ok' => true }, status: 'success' })
over = client.post('command/plan_task', { task: 'demo::greet', params: {}, scope: { nodes: NODES }, plan_job: plan['name'] }, status: 400)
check('a plan that is over', over['kind'] == 'puppetlabs.orchestrator/plan-already-finished', over)
