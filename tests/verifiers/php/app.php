<?php
// A service behind the proxy: it says who is calling, to those who bring a good assertion.
require __DIR__ . '/verify.php';

$verifier = new Verifier(
    getenv('JWKS_URL'), getenv('AUDIENCE'), getenv('ISSUER'), getenv('KEYSET_FILE'),
    (int) (getenv('KEYSET_MAX_AGE') ?: 300), (int) (getenv('KEYSET_PAUSE') ?: 30));
try {
    $claims = $verifier->verify($_SERVER['HTTP_X_POMERIUM_JWT_ASSERTION'] ?? '');
    $answer = ['sub' => $claims['sub'], 'email' => $claims['email']];
} catch (Throwable $error) {
    http_response_code(401);
    $answer = ['error' => $error->getMessage()];
}
header('Content-Type: application/json');
echo json_encode($answer);
