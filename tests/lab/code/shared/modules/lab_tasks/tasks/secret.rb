#!/usr/bin/env ruby
require 'json'
p = JSON.parse($stdin.read)
puts({ 'user' => p['user'], 'length' => p['password'].length }.to_json)
