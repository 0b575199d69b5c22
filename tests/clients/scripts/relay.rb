# The relay agent: nulls for what is not meant, no_noop for real runs, whole jobs afterwards.

require_relative 'lib'

client = Client.new

run = { environment: 'production', scope: { nodes: [NODES.first] }, noop: nil, no_noop: true, debug: nil, targets: nil }
job = client.post('command/deploy', run)['job']['name']
client.wait(job)
shown = client.get("jobs/#{job}")
%w[name state node_count owner options timestamp started_timestamp finished_timestamp].each do |key|
  check("the job's #{key}", shown[key], shown)
end
check('times have seconds and no fraction', shown['finished_timestamp'] =~ /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/, shown)
check('what was asked', shown['options']['no_noop'] == true && shown['options']['noop'] == false, shown['options'])
check('its nodes', client.get("jobs/#{job}/nodes")['items'].first['name'] == NODES.first)

body = { environment: 'production', task: 'demo::greet', params: {}, scope: { nodes: [NODES.first] }, noop: nil, targets: nil }
client.wait(client.post('command/task', body)['job']['name'])

plan = client.post('command/plan_start', { plan_name: 'demo::roll', params: {} })['name']
going = client.get("plan_jobs/#{plan}")
check('a plan that goes on', going['state'] == 'running' && going['finished_timestamp'].nil? && going['result'].nil?, going)
client.post('command/plan_finish', { plan_job: plan, result: { 'answer' => 42 }, status: 'failure' })
over = client.get("plan_jobs/#{plan}")
check('and one that is over', over['state'] == 'failure' && over['result'] == { 'answer' => 42 }, over)
check('with its times', over['created_timestamp'] && over['finished_timestamp'], over)
