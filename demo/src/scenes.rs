//! The tour. Each scene shows something and checks it; what does not come out as it should ends the demo.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use harness::{ASSERTION_HEADER as ASSERTION, HOST, Host, JWKS_PATH, Request};
use serde_json::{Value, json};

use crate::envoy::Demo;
use crate::screen::Screen;

pub(crate) fn play(demo: &Demo<'_>, screen: &mut Screen) -> anyhow::Result<()> {
    introduce(demo, screen)?;
    anonymous(demo, screen)?;
    let cookie = signed_in(demo, screen)?;
    forged(demo, screen, &cookie)?;
    keyset(demo, screen)?;
    rotated(demo, screen, &cookie)
}

fn introduce(demo: &Demo<'_>, screen: &Screen) -> anyhow::Result<()> {
    screen.line(&format!("\n{}", Screen::strong("attestation-filter: signed identity for every upstream")))?;
    screen.row(
        "proxy",
        &format!(
            "{}  {}",
            demo.url(""),
            Screen::faint(&format!("Envoy {} with jwt_authn and the filter, {}", demo.envoy_version, kind(demo.host)))
        ),
    )?;
    screen
        .row("upstream", &format!("attest upstream  {}", Screen::faint("on a socket file: only Envoy reaches it")))?;
    screen.row("key", &format!("kid {}", demo.kid))?;
    Ok(())
}

fn kind(host: Host) -> &'static str {
    match host {
        Host::Wasm => "a Wasm module",
        Host::Native => "a native module",
    }
}

fn anonymous(demo: &Demo<'_>, screen: &mut Screen) -> anyhow::Result<()> {
    screen.scene("Nobody is signed in: the upstream gets proof of that, too")?;
    screen.typed(&curl(demo, ""))?;
    let received = get(demo, &[])?;
    show(&received, screen)?;
    expect(&received, "anonymous", &json!(true))?;
    expect_claims(&received, &[("sub", json!("")), ("email", json!("")), ("groups", json!([])), ("aud", json!(HOST))])?;
    verified(&received, &demo.kid, screen)
}

fn signed_in(demo: &Demo<'_>, screen: &mut Screen) -> anyhow::Result<String> {
    screen.scene("Zoë signs in at the demo's own identity provider")?;
    let cookie = sign_in(demo, "zoe")?;
    let name = &demo.cookie;
    screen
        .typed(&format!("curl -X POST '{}'  # answers with the cookie {name}", demo.url("/demo/sign-in?user=zoe")))?;
    screen.typed(&curl(demo, &format!("-b {name}=… ")))?;
    let received = get(demo, &[("cookie", &cookie)])?;
    show(&received, screen)?;
    expect_claims(
        &received,
        &[("sub", json!("zoe")), ("email", json!("zoe@example.com")), ("groups", json!(["engineering", "admins"]))],
    )?;
    verified(&received, &demo.kid, screen)?;
    Ok(cookie)
}

/// Signs a demo user in and returns the `Cookie` header that a browser would send from then on.
fn sign_in(demo: &Demo<'_>, user: &str) -> anyhow::Result<String> {
    let answer = demo.send(&Request::new("POST", &format!("/demo/sign-in?user={user}")).body(""))?;
    ensure!(answer.status == 303, "signing in was answered with {}", answer.status);
    let cookie = answer.first_header("set-cookie").context("signing in set no cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

fn forged(demo: &Demo<'_>, screen: &mut Screen, cookie: &str) -> anyhow::Result<()> {
    screen.scene("Zoë forges headers: none of them arrives")?;
    let forged = [
        ("x-pomerium-jwt-assertion", "forged.by.zoe"),
        ("x_pomerium_jwt_assertion", "forged.by.zoe"),
        ("x.pomerium-jwt_assertion", "forged.by.zoe"),
        ("x-pomerium-claim-email", "boss@example.com"),
        ("x_pomerium_claim_groups", "bosses"),
    ];
    for (name, value) in forged {
        screen.row("sent", &format!("{name}: {value}"))?;
    }
    let received = get(demo, &[&forged[..], &[("cookie", cookie)]].concat())?;
    let headers = pomerium_headers(&received);
    for (name, value) in &headers {
        let shown = if name == ASSERTION { Screen::token(value) } else { value.clone() };
        screen.row("received", &format!("{name}: {shown}"))?;
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(names == ["x-pomerium-claim-email", "x-pomerium-claim-groups", ASSERTION], "the upstream got {names:?}");
    ensure!(
        headers.iter().all(|(_, value)| !value.contains("forged") && !value.contains("boss")),
        "a forged value arrived"
    );
    expect_claims(&received, &[("sub", json!("zoe")), ("email", json!("zoe@example.com"))])?;
    screen.checked("one assertion, the filter's own, and the claims of Zoë")?;
    verified(&received, &demo.kid, screen)
}

fn keyset(demo: &Demo<'_>, screen: &mut Screen) -> anyhow::Result<()> {
    screen.scene("Anybody can fetch the public keys through the proxy")?;
    screen.typed(&format!("curl {}", demo.keyset_url()))?;
    let kids = published(demo)?;
    let answer = demo.send(&Request::get(JWKS_PATH))?;
    let header = |name| answer.first_header(name).unwrap_or_default();
    let (caching, tag) = (header("cache-control"), header("etag"));
    let keys = answer.try_json()?;
    for key in keys.get("keys").and_then(Value::as_array).into_iter().flatten() {
        let member = |name| key.get(name).and_then(Value::as_str).unwrap_or_default();
        screen
            .row("key", &format!("{} {} for {}, kid {}", member("kty"), member("crv"), member("alg"), member("kid")))?;
    }
    screen.row("caching", &format!("{caching}, ETag {tag}"))?;
    ensure!(kids == [demo.kid.as_str()], "the keyset has {kids:?}");
    ensure!(!caching.is_empty() && !tag.is_empty(), "the keyset came without Cache-Control or ETag");
    screen.checked("the one key that signs, and nothing secret")?;
    Ok(())
}

fn rotated(demo: &Demo<'_>, screen: &mut Screen, cookie: &str) -> anyhow::Result<()> {
    screen.scene("A new signing key, while requests go on: no restart, no push")?;
    let file = demo.signing_key.file_name().unwrap_or_default().to_string_lossy().into_owned();
    screen.typed(&format!("attest rotate stage {file}"))?;
    let new = rotate(demo, &["stage"], &[])?;
    screen.row("new key", &format!("kid {new}"))?;
    screen.typed(&format!("attest rotate promote {file} --wait --cache-time 2s --jwks-url {}", demo.keyset_url()))?;
    rotate(
        demo,
        &["promote", "--wait", "--cache-time", "2s", "--refresh-time", "1s", "--timeout", "30s"],
        &["--jwks-url", &demo.keyset_url()],
    )?;
    let received = until_all_workers_sign_with(demo, &new, cookie)?;
    screen.checked("the proxy signs with it, and still publishes the old key for what is under way")?;
    verified(&received, &new, screen)
}

/// Each of Envoy's workers reads the file for itself, so one may be a second behind the other. Ten answers in a row
/// are those of both.
fn until_all_workers_sign_with(demo: &Demo<'_>, kid: &str, cookie: &str) -> anyhow::Result<Value> {
    let started = Instant::now();
    let mut in_a_row = 0;
    loop {
        let received = get(demo, &[("cookie", cookie)])?;
        let signed = received.get("kid").and_then(Value::as_str) == Some(kid);
        let new_order = signed && published(demo)? == [kid, demo.kid.as_str()];
        in_a_row = if new_order { in_a_row + 1 } else { 0 };
        if in_a_row == 10 {
            return Ok(received);
        }
        ensure!(started.elapsed() < Duration::from_secs(15), "the proxy does not sign with the new key");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Takes a step of a rotation and returns the key ID that it was about.
fn rotate(demo: &Demo<'_>, step: &[&str], more: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(&demo.attest);
    command.args(["--json", "rotate"]).args(step).arg(&demo.signing_key).args(more);
    let done: Value = serde_json::from_str(&demo.workspace.run("attest rotate", &mut command)?)?;
    Ok(done.get("kid").and_then(Value::as_str).context("attest rotate named no kid")?.to_owned())
}

fn published(demo: &Demo<'_>) -> anyhow::Result<Vec<String>> {
    let keyset = demo.send(&Request::get(JWKS_PATH))?.try_json()?;
    let keys = keyset.get("keys").and_then(Value::as_array).context("the proxy publishes no keyset")?;
    Ok(keys.iter().filter_map(|key| key.get("kid").and_then(Value::as_str).map(str::to_owned)).collect())
}

/// One request through the proxy; the answer is what the upstream received.
fn get(demo: &Demo<'_>, headers: &[(&str, &str)]) -> anyhow::Result<Value> {
    let answer = demo.send(&Request::get("/").headers(headers.iter().copied()))?;
    if answer.status != 200 {
        bail!("the request was answered with {}: {}", answer.status, answer.text_lossy());
    }
    answer.try_json().context("the upstream did not answer with JSON")
}

fn show(received: &Value, screen: &Screen) -> anyhow::Result<()> {
    let token = received.get("token").and_then(Value::as_str).unwrap_or_default();
    screen.row("received", &format!("{ASSERTION}: {}", Screen::token(token)))?;
    screen.row("header", &received.get("header").unwrap_or(&Value::Null).to_string())?;
    let claims = received.get("claims").and_then(Value::as_object).context("the upstream received no claims")?;
    let mut label = "claims";
    for (name, value) in claims {
        screen.row(label, &format!("{name:<6}  {value}"))?;
        label = "";
    }
    Ok(())
}

fn verified(received: &Value, kid: &str, screen: &Screen) -> anyhow::Result<()> {
    expect(received, "verified", &json!(true))?;
    expect(received, "kid", &json!(kid))?;
    screen.checked(&format!("verified with kid {kid}"))?;
    Ok(())
}

fn expect(received: &Value, member: &str, value: &Value) -> anyhow::Result<()> {
    let actual = received.get(member).unwrap_or(&Value::Null);
    let faults = received.get("faults").unwrap_or(&Value::Null);
    ensure!(actual == value, "the upstream says {member} {actual}, and not {value}; faults: {faults}");
    Ok(())
}

fn expect_claims(received: &Value, claims: &[(&str, Value)]) -> anyhow::Result<()> {
    for (name, value) in claims {
        let actual = received.pointer(&format!("/claims/{name}")).unwrap_or(&Value::Null);
        ensure!(actual == value, "the claim {name} is {actual}, and not {value}");
    }
    Ok(())
}

/// The headers that an application could take for Pomerium's, under whatever alias.
fn pomerium_headers(received: &Value) -> Vec<(String, String)> {
    let headers = received.pointer("/request/headers").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |header: &Value, member| header.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut headers: Vec<(String, String)> = headers
        .iter()
        .map(|header| (text(header, "name"), text(header, "value")))
        .filter(|(name, _)| name.to_ascii_lowercase().replace(['_', '.'], "-").starts_with("x-pomerium-"))
        .collect();
    headers.sort();
    headers
}

fn curl(demo: &Demo<'_>, options: &str) -> String {
    format!("curl {options}-H 'Host: {HOST}' {}", demo.url("/"))
}

pub(crate) fn farewell(screen: &Screen) -> anyhow::Result<()> {
    screen.line(&format!(
        "\n{}  {}\n",
        Screen::strong("All as it should be."),
        Screen::faint("make run leaves it running, to try things out in a browser")
    ))?;
    Ok(())
}

/// What to try while it is up.
pub(crate) fn invite(demo: &Demo<'_>, screen: &Screen) -> anyhow::Result<()> {
    let (proxy, file) = (demo.url(""), demo.signing_key.display());
    screen.line(&format!("\n{}", Screen::strong("All as it should be. Now it is yours, until Ctrl-C:")))?;
    screen.row("browser", &format!("{proxy}/"))?;
    screen.row(
        "admin",
        &format!("http://{}/  {}", demo.admin.address(), Screen::faint("try /stats?filter=attestation")),
    )?;
    screen.typed(&format!("curl {proxy}/"))?;
    screen.typed(&format!("curl -H 'X-Pomerium-Jwt-Assertion: forged' {proxy}/"))?;
    screen.typed(&format!("curl -sc jar -X POST '{proxy}/demo/sign-in?user=ann' && curl -sb jar {proxy}/"))?;
    screen.typed(&format!("curl {}", demo.keyset_url()))?;
    screen.typed(&format!(
        "curl -s {proxy}/ | jq -r .token | {} verify - --jwks {}",
        demo.attest.display(),
        demo.keyset_url()
    ))?;
    // With the times of the demo's envoy.yaml: a minute, not a quarter of an hour.
    let times = "--cache-time 2s --refresh-time 1s --token-lifetime 60s";
    let attest = demo.attest.display();
    screen.typed(&format!("{attest} rotate retire {file} --wait {times} --jwks-url {}", demo.keyset_url()))?;
    screen.line("")?;
    Ok(())
}
