# The module that forwards events: the highest job number as a number, then pages until one is empty.

require_relative 'lib'

client = Client.new

3.times { client.wait(client.post('command/task', { task: 'demo::greet', params: {}, scope: { nodes: [NODES.first] } })['job']['name']) }
first = client.get('jobs?limit=1&offset=0&order=desc&order_by=name')
newest = first['items'].first['name'].to_i
check('numbers have no gaps', newest == first['pagination']['total'], first['pagination'])

seen = []
offset = 0
loop do
  page = client.get("jobs?limit=2&offset=#{offset}&order=desc&order_by=name")['items']
  break if page.empty?

  seen.concat(page.map { |job| job['name'].to_i })
  offset += 2
end
# Jobs that come meanwhile push others onto the next page: they may be seen twice, and none is missed.
known = seen.uniq.select { |number| number <= newest }
check('all of them, newest first, as numbers', known == newest.downto(1).to_a, seen)

plan = client.post('command/plan_start', { plan_name: 'demo::roll', params: {} })['name']
client.post('command/plan_finish', { plan_job: plan, result: nil, status: 'success' })
finished = client.get("plan_jobs/#{plan}")['finished_timestamp']
again = client.get("plan_jobs?limit=500&offset=0&order=asc&min_finish_timestamp=#{finished}")['items']
check('the bound is inclusive', again.map { |one| one['name'] }.include?(plan), again)
times = again.map { |one| one['finished_timestamp'] }
check('and the order stable', times == times.sort, times)
check('pages end', client.get("plan_jobs?limit=500&offset=500&order=asc&min_finish_timestamp=#{finished}")['items'].empty?)
