# The client with a method for every documented endpoint: each of them once.

require_relative 'lib'

client = Client.new

root = client.get('/orchestrator/v1')
check('collections', (%w[environments jobs] - root['collections'].map { |one| one['name'] }).empty?, root)
check('commands', (%w[deploy stop task] - root['commands'].map { |one| one['name'] }).empty?, root)
root['collections'].each { |one| client.follow(one['id']) }

job = client.post('command/deploy', { environment: 'production', scope: { nodes: [NODES.first] }, noop: true })['job']['name']
client.wait(job)
client.get('jobs?limit=1&offset=0&order_by=name&order=asc&type=deploy')
client.get("jobs/#{job}")
client.get("jobs/#{job}/nodes?limit=1&order_by=name&state=finished")
client.get("jobs/#{job}/report")
client.get("jobs/#{job}/events?start=0")
client.post('command/task', { environment: 'production', task: 'demo::greet', params: {}, scope: { nodes: [NODES.first] }, targets: [] })
client.post('command/stop', { job: job, force: true })

target = client.post('command/task_target', { display_name: 'all', tasks: ['demo::greet'], nodes: NODES, node_groups: [] }, status: 200)
client.get('scopes/task_targets')
check('the task target', client.follow(target['task_target']['id'])['display_name'] == 'all')

start = (Time.now + 86_400).utc.strftime('%Y-%m-%dT%H:%M:%SZ')
schedule = {
  type: 'task', environment: 'production', description: 'nightly', userdata: {},
  input: { name: 'demo::greet', parameters: {}, scope: { nodes: [NODES.first] } },
  schedule: { start_time: start, interval: { units: 'seconds', value: 86_400 } }
}
made = client.post('scheduled_jobs/environment_jobs', schedule, status: 200)['scheduled_job']
one = client.follow(made['id'])
check('the scheduled job', one['name'] == made['name'] && one['next_run']['time'] == start && one['last_run'].nil?, one)
client.get('scheduled_jobs/environment_jobs?type=task&order_by=next_run_time&limit=5')
path = client.full("scheduled_jobs/environment_jobs/#{made['name']}")
client.send_json(Net::HTTP::Put.new(path), { description: 'weekly' })
client.send_json(Net::HTTP::Put.new(path), { enabled: false })
refused = client.send_json(Net::HTTP::Put.new(path), { description: 'x' }, status: 400)
check('a disabled one', refused['kind'] == 'puppetlabs.orchestrator/disabled-scheduled-job', refused)

plan = client.post('command/plan_start', { plan_name: 'demo::roll', params: {} })['name']
client.post('command/stop_plan', { plan_job: plan })
client.get('plan_jobs?limit=1&order_by=name&order=desc&results=exclude')
shown = client.get("plan_jobs/#{plan}")
check('a stopped plan', shown['state'] == 'failure' && shown['status'] == {}, shown)
event = client.get("plan_jobs/#{plan}/events")['items'].last
check('its last event', client.get("plan_jobs/#{plan}/event/#{event['id']}")['type'] == 'plan_failed')
refused = client.post('command/plan_run', { plan_name: 'demo::roll', params: {}, environment: 'production' }, status: 404)
check('plans are not run here', refused['kind'] == 'puppetlabs.orchestrator/unknown-plan', refused)

task = client.get('tasks?environment=production')['items'].find { |one| one['name'] == 'demo::greet' }
check('a task by its URL', client.follow(task['id'])['metadata'].is_a?(Hash))
check('plans', client.get('plans?environment=production')['items'] == [])
client.get("inventory/#{NODES.first}")
client.get('inventory')
client.get('usage?start_date=2026-01-01&events=exclude')
status = client.get('/status/v1/services/orchestrator-service')
check('status', status['state'] == 'running', status)
