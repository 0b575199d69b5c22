# The official Ruby client: TLS 1.2 and nothing else, one kept connection, errors by their kind.

require_relative 'lib'

client = Client.new(tls: OpenSSL::SSL::TLS1_2_VERSION)

# deploy, and a look at every part of the job until it is over
started = client.post('command/deploy', { environment: 'production', scope: { nodes: NODES }, noop: true })
job = started['job']['name']
check('the id ends with the name', started['job']['id'].end_with?("/orchestrator/v1/jobs/#{job}"), started)
over = client.wait(job)
check('the state', over['state'] == 'finished', over)
check('the nodes', client.get("jobs/#{job}/nodes")['items'].map { |node| node['name'] }.sort == NODES.sort)
check('the report', client.get("jobs/#{job}/report")['items'].length == NODES.length)

# events, page by page by what next-events says
events = client.get("jobs/#{job}/events")
check('next-events names an event', events['next-events']['event'] =~ /\A\d+\z/, events['next-events'])
check('the last event', events['items'].last['type'] == 'job_finished', events['items'].last)
rest = client.get("jobs/#{job}/events?start=#{events['next-events']['event']}")
check('nothing is left', rest['items'].empty?, rest)
check('and the place stays', rest['next-events']['event'] == events['next-events']['event'], rest)

# a task, and a stop of what is over
task = client.post('command/task', { task: 'demo::greet', params: {}, scope: { nodes: [NODES.first] }, environment: 'production' })
client.wait(task['job']['name'])
stopped = client.post('command/stop', { job: task['job']['name'] })
check('a stop changes nothing of it', stopped['job']['nodes']['finished'] == 1, stopped)

# the bridge of plans
plan = client.post('command/plan_start', { plan_name: 'demo::roll', description: 'x', params: {}, sensitive: [] })['name']
client.post('command/plan_task', { plan_job: plan, task: 'demo::greet', params: {}, scope: { nodes: [NODES.first] } })
client.post('command/plan_finish', { plan_job: plan, result: '', status: 'success' })

# errors are told apart by kind
unknown = client.get('jobs/99999999', status: 404)
check('an unknown job', unknown['kind'] == 'puppetlabs.orchestrator/unknown-job' && unknown['msg'] && unknown['details'], unknown)
invalid = client.post('command/deploy', {}, status: 400)
check('a missing key', invalid['kind'] == 'puppetlabs.orchestrator/validation-error', invalid)
missing = client.post('command/deploy', { environment: 'nowhere' }, status: 404)
check('an unknown environment', missing['kind'] == 'puppetlabs.orchestrator/unknown-environment', missing)
empty = client.post('command/task', { task: 'demo::greet', scope: { nodes: [] } }, status: 400)
check('an empty target', empty['kind'] == 'puppetlabs.orchestrator/empty-target', empty)
listed = client.get('jobs?limit=2')
check('a limit', listed['items'].length == 2, listed['pagination'])
check('one connection for all of it', client.http.started?)
