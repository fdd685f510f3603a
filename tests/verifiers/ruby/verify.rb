# Verifies the assertion of a request, with the gem jwt.
require 'json'
require 'jwt'
require 'net/http'

# Keeps the keyset for `max_age` seconds. An unknown kid fetches it again, but not within `pause` seconds.
class Verifier
  LEEWAY = 5 # seconds that the clocks may be apart

  def initialize(jwks_url, audience, issuer, max_age: 300, pause: 30)
    @url, @max_age, @pause = URI(jwks_url), max_age, pause
    @fetched, @lock = -Float::INFINITY, Mutex.new
    @options = {
      algorithms: %w[ES256 RS256], aud: audience, verify_aud: true, iss: issuer, verify_iss: true, exp_leeway: LEEWAY,
      required_claims: %w[aud exp iat iss sub], jwks: method(:keyset)
    }
  end

  # The claims. `value` is the header as Rack has it, who joins two by a comma, which no token has; or nil. Anything wrong
  # raises JWT::DecodeError.
  def verify(value)
    JWT.decode(value, nil, true, @options).first
  end

  private

  def keyset(options)
    @lock.synchronize do
      age = Process.clock_gettime(Process::CLOCK_MONOTONIC) - @fetched
      fetch if age >= @max_age || (options[:invalidate] && age >= @pause)
      @keys
    end
  end

  def fetch
    answer = Net::HTTP.start(@url.host, @url.port, use_ssl: @url.scheme == 'https', open_timeout: 5, read_timeout: 5) do |http|
      http.get(@url.request_uri)
    end
    answer.value # raises unless it is good
    @keys = JSON.parse(answer.body)
    @fetched = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
