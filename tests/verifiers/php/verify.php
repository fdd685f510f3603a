<?php
// Verifies the assertion of a request, with phpseclib and openssl.

require_once 'phpseclib3/autoload.php'; // where Debian has it; with Composer vendor/autoload.php

use phpseclib3\Crypt\EC\Formats\Signature\ASN1;
use phpseclib3\Crypt\PublicKeyLoader;
use phpseclib3\Math\BigInteger;

/** Keeps the keyset in a file for $maxAge seconds. An unknown kid fetches it again, but not within $pause seconds. */
final class Verifier
{
    private const LEEWAY = 5; // seconds that the clocks may be apart

    /** Nobody but the app may write in the directory of $file. */
    public function __construct(
        private string $jwksUrl, private string $audience, private string $issuer, private string $file,
        private int $maxAge = 300, private int $pause = 30)
    {
    }

    /** The claims; anything wrong throws. $token is the header: PHP joins two by a comma, which no token has. */
    public function verify(string $token): array
    {
        $parts = explode('.', $token);
        $this->expect(count($parts) === 3, 'this is no token');
        [$header, $claims] = array_map(fn ($part) => json_decode(self::octets($part), true, 8), $parts);
        $key = $this->key($header['kid'] ?? null);
        // The key says the algorithm, not the token.
        $algorithm = $key['alg'] ?? null;
        $this->expect($algorithm === ($header['alg'] ?? null), 'another algorithm than its key has');
        $signature = match ($algorithm) {
            'ES256' => self::der(self::octets($parts[2])),
            'RS256' => self::octets($parts[2]),
        };
        $public = PublicKeyLoader::load(json_encode($key))->toString('PKCS8');
        $this->expect(openssl_verify("$parts[0].$parts[1]", $signature, $public, 'sha256') === 1, 'the signature is wrong');
        $this->expect(in_array($this->audience, (array) ($claims['aud'] ?? []), true), 'another audience');
        $this->expect(($claims['iss'] ?? null) === $this->issuer, 'another issuer');
        $this->expect(is_int($claims['exp'] ?? null) && $claims['exp'] + self::LEEWAY > time(), 'expired');
        return $claims;
    }

    private function key(?string $kid): array
    {
        $age = is_file($this->file) ? time() - filemtime($this->file) : PHP_INT_MAX;
        $keys = $age < $this->maxAge ? self::keys(file_get_contents($this->file)) : null;
        if ($keys === null || (!isset($keys[$kid]) && $age >= $this->pause)) {
            $text = file_get_contents($this->jwksUrl, false, stream_context_create(['http' => ['timeout' => 5]]));
            $keys = self::keys($text);
            $new = tempnam(dirname($this->file), 'keyset');
            file_put_contents($new, $text);
            rename($new, $this->file);
            clearstatcache();
        }
        $this->expect(isset($keys[$kid]), 'no key has this kid');
        return $keys[$kid];
    }

    private static function keys(string $text): array
    {
        return array_column(json_decode($text, true, 8, JSON_THROW_ON_ERROR)['keys'], null, 'kid');
    }

    private static function octets(string $part): string
    {
        return (string) base64_decode(strtr($part, '-_', '+/'));
    }

    /** What openssl reads: the two halves as numbers in ASN.1. */
    private static function der(string $signature): string
    {
        return ASN1::save(new BigInteger(substr($signature, 0, 32), 256), new BigInteger(substr($signature, 32), 256));
    }

    private function expect(bool $condition, string $otherwise): void
    {
        $condition || throw new UnexpectedValueException($otherwise);
    }
}
