# A service behind the proxy: it says who is calling, to those who bring a good assertion.
require 'socket'
require_relative 'verify'

HEADER = 'x-pomerium-jwt-assertion'
VERIFIER = Verifier.new(
  *ENV.values_at('JWKS_URL', 'AUDIENCE', 'ISSUER'),
  max_age: ENV.fetch('KEYSET_MAX_AGE', '300').to_f, pause: ENV.fetch('KEYSET_PAUSE', '30').to_f
)

# The headers of a request, those of one name joined as Rack joins them.
def headers(socket)
  lines = []
  while (line = socket.gets&.chomp) && !line.empty?
    lines << line.split(/:\s*/, 2)
  end
  lines.drop(1).group_by { |name, _| name.downcase }.transform_values { |found| found.map(&:last).join(',') }
end

def answer(value)
  claims = VERIFIER.verify(value)
  ['200 OK', { sub: claims['sub'], email: claims['email'] }]
rescue JWT::DecodeError => e
  ['401 Unauthorized', { error: e.message }]
end

server = TCPServer.new('127.0.0.1', ENV.fetch('PORT', '0').to_i)
puts "listening on http://127.0.0.1:#{server.addr[1]}"
$stdout.flush
loop do
  Thread.start(server.accept) do |socket|
    status, value = answer(headers(socket)[HEADER])
    body = JSON.generate(value)
    socket.write("HTTP/1.1 #{status}\r\nContent-Type: application/json\r\nContent-Length: #{body.bytesize}\r\n" \
                 "Connection: close\r\n\r\n#{body}")
  ensure
    socket.close
  end
end
