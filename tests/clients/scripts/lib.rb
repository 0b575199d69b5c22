# What the Ruby scripts share: one kept connection over TLS, JSON in and out, checks that say what was there instead.

require 'json'
require 'net/http'
require 'openssl'
require 'uri'

TOKEN = ENV.fetch('BUNRAKU_TOKEN')
NODES = ENV.fetch('NODES').split(',')
AWAY = ENV.fetch('AWAY')

def check(what, holds, seen = nil)
  return if holds

  warn "#{what}: #{seen.inspect}"
  exit 1
end

# A client as strict as those in the wild: exact statuses, JSON by its content type only, no redirects.
class Client
  def initialize(tls: nil)
    @base = URI(ENV.fetch('BUNRAKU_URL'))
    @http = Net::HTTP.new(@base.host, @base.port)
    @http.use_ssl = true
    @http.ca_file = ENV.fetch('BUNRAKU_CA')
    @http.min_version = @http.max_version = tls if tls
    @http.keep_alive_timeout = 30
    @http.start
  end

  attr_reader :http

  def get(path, status: 200)
    answer(Net::HTTP::Get.new(full(path)), status)
  end

  def post(path, body, status: 202, type: 'application/json')
    request = Net::HTTP::Post.new(full(path))
    request['Content-Type'] = type
    request.body = JSON.generate(body)
    answer(request, status)
  end

  def send_json(request, body, status: 200)
    request['Content-Type'] = 'application/json'
    request.body = JSON.generate(body) if body
    answer(request, status)
  end

  # Follows a URL that the server gave, as it stands.
  def follow(url, status: 200)
    target = URI(url)
    check('links lead to the host that was asked', [target.host, target.port] == [@base.host, @base.port], url)
    answer(Net::HTTP::Get.new(target.request_uri), status)
  end

  def full(path)
    path.start_with?('/') ? path : "/orchestrator/v1/#{path}"
  end

  def answer(request, status)
    request['X-Authentication'] = TOKEN
    response = @http.request(request)
    shown = "#{request.method} #{request.path}: #{response.code} #{response.body}"
    check('the status', response.code.to_i == status, shown)
    return nil if status == 204

    check('the content type', response['Content-Type'].start_with?('application/json'), shown)
    JSON.parse(response.body)
  end

  # Polls a job until it is over.
  def wait(job)
    600.times do
      found = get("jobs/#{job}")
      return found if %w[stopped finished failed].include?(found['state'])

      sleep 0.1
    end
    check('the job ends', false, job)
  end
end
