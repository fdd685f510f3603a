//! The page for browsers: who asked, whether that is proven, and by what.

use serde_json::{Map, Value};

use super::demo_issuer::USERS;
use super::html::Html;
use super::received::Received;
use crate::assertion::Token;
use crate::clock;
use crate::keyset::PublicKey;
use checks::{Check, checks, lifetime};

mod checks;

const PAGE: &str = include_str!("page.html");
const TICK: &str = r#"<svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m3 8.5 3.2 3.2L13 4.8"/></svg>"#;
const CROSS: &str = r#"<svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" aria-hidden="true"><path d="m4 4 8 8m0-8-8 8"/></svg>"#;

/// The whole page.
pub(super) fn render(received: &Received, demo: bool) -> Html {
    let details = received.token().map(|token| details(received, token)).unwrap_or_default();
    let at = clock::utc(received.at).unwrap_or_default();
    Html::template(
        PAGE,
        &[
            ("title", Html::text(&title(received))),
            ("people", if demo { people(received) } else { Html::default() }),
            ("hero", hero(received)),
            ("details", details),
            ("keyset", keyset(received)),
            ("request", request(received)),
            ("at", Html::text(&at)),
        ],
    )
}

/// The verdict first: it is what a tab and a screen reader say.
fn title(received: &Received) -> String {
    match received.token() {
        _ if !received.is_verified() => "Not verified".to_owned(),
        Some(token) if !token.is_anonymous() => format!("Verified: {}", display_name(token)),
        _ => "Nobody is signed in".to_owned(),
    }
}

fn display_name(token: &Token) -> &str {
    ["name", "email", "user", "sub"]
        .into_iter()
        .map(|claim| token.text(claim))
        .find(|text| !text.is_empty())
        .unwrap_or("?")
}

/// The buttons that sign invented users in and out.
fn people(received: &Received) -> Html {
    let current =
        received.token().filter(|_| received.is_verified()).map(|token| token.text("sub")).unwrap_or_default();
    let buttons = USERS.iter().filter(|user| user.login != current).map(|user| {
        let login = Html::text(user.login);
        Html::template(
            r#"<form method="post" action="/demo/sign-in?user={{login}}"><button>{{login}}</button></form>"#,
            &[("login", login)],
        )
    });
    let sign_out = match current {
        "" => Html::markup("<span>Sign in as</span>"),
        _ => Html::markup(
            r#"<form method="post" action="/demo/sign-out"><button>Sign out</button></form><span>or become</span>"#,
        ),
    };
    Html::template(
        r#"<nav class="people" aria-label="Demo users">{{sign_out}}{{buttons}}</nav>"#,
        &[("sign_out", sign_out), ("buttons", Html::join(buttons))],
    )
}

fn hero(received: &Received) -> Html {
    match received.token() {
        Some(token) if received.is_anonymous() => anonymous_hero(token),
        Some(token) if received.is_verified() => verified_hero(token),
        _ => refused_hero(received),
    }
}

/// A good assertion about nobody must not look like a good one about somebody.
fn anonymous_hero(token: &Token) -> Html {
    Html::template(
        r#"<section class="card hero anonymous"><div class="avatar" aria-hidden="true">?</div>
<div><h1>Nobody is signed in</h1><p class="soft">The proxy has signed that it knows no user. An app that wants one refuses this request.</p></div>
<div class="seal"><b>Anonymous</b>{{signed}}</div></section>"#,
        &[("signed", signed_line(token))],
    )
}

fn signed_line(token: &Token) -> Html {
    Html::template(
        r#"<p class="soft small">signed with {{alg}}, kid <code>{{kid}}</code></p>"#,
        &[
            ("alg", Html::text(token.header.get("alg").and_then(Value::as_str).unwrap_or_default())),
            ("kid", Html::text(&short(token.kid().unwrap_or_default()))),
        ],
    )
}

fn verified_hero(token: &Token) -> Html {
    let name = display_name(token);
    Html::template(
        r#"<section class="card hero"><div class="avatar" aria-hidden="true">{{initial}}</div>
<div><h1>{{name}}</h1><p class="soft">{{line}}</p>{{groups}}</div>
<div class="seal"><b>{{tick}}Verified</b>{{signed}}</div></section>"#,
        &[
            ("initial", Html::text(&initials(name))),
            ("name", Html::text(name)),
            ("line", Html::text(&who_line(token))),
            ("groups", chips(token.claims.get("groups"))),
            ("tick", Html::markup(TICK)),
            ("signed", signed_line(token)),
        ],
    )
}

fn who_line(token: &Token) -> String {
    let shown = [token.text("email"), token.text("user")];
    let parts: Vec<&str> = shown.into_iter().filter(|text| !text.is_empty() && *text != display_name(token)).collect();
    parts.join(" · ")
}

fn refused_hero(received: &Received) -> Html {
    let item = |(problem, advice): (String, String)| {
        Html::template(
            r#"<li><b>{{problem}}</b><br><span class="soft">{{advice}}</span></li>"#,
            &[("problem", Html::text(&problem)), ("advice", Html::text(&advice))],
        )
    };
    Html::template(
        r#"<section class="card hero refused"><div class="avatar" aria-hidden="true">!</div>
<div><h1>Not verified</h1><ul class="problems">{{problems}}</ul></div>
<div class="seal"><b>{{cross}}Refused</b></div></section>"#,
        &[("problems", Html::join(received.problems().into_iter().map(item))), ("cross", Html::markup(CROSS))],
    )
}

fn details(received: &Received, token: &Token) -> Html {
    Html::template(
        r#"<div class="columns"><section class="card stacks {{proof}}"><h2>Claims</h2>{{warning}}<dl>{{claims}}</dl></section>
<div><section class="card"><h2>Checks</h2><ul class="checks">{{checks}}</ul>{{life}}</section>
<section class="card"><h2>Header</h2><dl>{{header}}</dl></section></div></div>
<section class="card"><h2>Token</h2><div class="legend"><span class="h"><i></i>header</span><span class="p"><i></i>claims</span><span class="s"><i></i>signature</span></div>
<div class="token">{{token}}</div></section>"#,
        &[
            ("proof", Html::markup(if received.is_verified() { "" } else { "unproven" })),
            ("warning", warning(received)),
            ("claims", members(&token.claims, received.at)),
            ("checks", Html::join(checks(received).into_iter().map(Check::item))),
            ("life", lifetime(token, received)),
            ("header", members(&token.header, received.at)),
            ("token", coloured(token)),
        ],
    )
}

/// Stands above claims that nobody should believe.
fn warning(received: &Received) -> Html {
    match received.verdict.is_signed() {
        _ if received.is_verified() => Html::default(),
        true => Html::markup(
            r#"<p class="warning"><b>Signed, and refused all the same.</b> Do not act on these claims.</p>"#,
        ),
        false => Html::markup(
            r#"<p class="warning"><b>Nothing vouches for these claims.</b> Anybody can have written them.</p>"#,
        ),
    }
}

fn members(members: &Map<String, Value>, now: f64) -> Html {
    Html::join(members.iter().map(|(name, value)| row(Html::text(name), value_html(name, value, now))))
}

fn row(name: Html, value: Html) -> Html {
    Html::template("<dt>{{name}}</dt><dd>{{value}}</dd>", &[("name", name), ("value", value)])
}

fn value_html(name: &str, value: &Value, now: f64) -> Html {
    match value {
        Value::String(text) if text.is_empty() => Html::markup(r#"<span class="soft">empty</span>"#),
        Value::String(text) if matches!(name, "kid" | "jti" | "sid") => code(text),
        Value::String(text) => Html::text(text),
        Value::Array(list) if list.is_empty() => Html::markup(r#"<span class="soft">none</span>"#),
        Value::Array(list) if list.iter().all(Value::is_string) => chips(Some(value)),
        Value::Number(_) if matches!(name, "iat" | "exp" | "nbf") => date(value, now),
        other => code(&other.to_string()),
    }
}

fn code(text: &str) -> Html {
    Html::template("<code>{{text}}</code>", &[("text", Html::text(text))])
}

fn date(value: &Value, now: f64) -> Html {
    let Some((seconds, shown)) = value.as_f64().and_then(|seconds| Some((seconds, clock::utc(seconds)?))) else {
        return code(&value.to_string());
    };
    Html::template(
        r#"{{date}}<span class="soft small">{{relative}} · <code>{{number}}</code></span>"#,
        &[
            ("date", Html::text(&shown)),
            ("relative", Html::text(&clock::relative(seconds, now))),
            ("number", Html::text(&value.to_string())),
        ],
    )
}

fn chips(groups: Option<&Value>) -> Html {
    let chip = |group: &str| Html::template(r#"<li class="chip">{{group}}</li>"#, &[("group", Html::text(group))]);
    let groups: Vec<Html> =
        groups.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(chip).collect();
    match groups.is_empty() {
        true => Html::default(),
        false => Html::template(r#"<ul class="chips">{{groups}}</ul>"#, &[("groups", Html::join(groups))]),
    }
}

fn coloured(token: &Token) -> Html {
    let (header, payload) = token.signing_input().split_once('.').unwrap_or_default();
    Html::template(
        r#"<span class="h">{{header}}</span>.<span class="p">{{payload}}</span>.<span class="s">{{signature}}</span>"#,
        &[
            ("header", Html::text(header)),
            ("payload", Html::text(payload)),
            ("signature", Html::text(token.signature())),
        ],
    )
}

fn keyset(received: &Received) -> Html {
    let Some(cached) = &received.keyset else { return Html::default() };
    let signer = received.token().filter(|_| received.verdict.is_signed()).and_then(Token::kid);
    let keys = cached.keyset.keys().iter().map(|key| key_item(key, signer));
    let keys = match cached.keyset.keys().is_empty() {
        true => Html::markup(r#"<li class="soft">No key is published.</li>"#),
        false => Html::join(keys),
    };
    let age = received.keyset_age().map(|age| clock::relative(0.0, age.as_secs_f64())).unwrap_or_default();
    Html::template(
        r#"<section class="card"><h2>Keyset</h2><ul class="keys">{{keys}}</ul>
<p class="soft small foot">from <code>{{source}}</code>, fetched {{age}}</p></section>"#,
        &[("keys", keys), ("source", Html::text(&received.keyset_source)), ("age", Html::text(&age))],
    )
}

fn key_item(key: &PublicKey, signer: Option<&str>) -> Html {
    let tag = match key.kid() {
        Some(kid) if signer == Some(kid) => Html::markup(r#"<span class="tag">signed this</span>"#),
        _ => Html::markup(r#"<span class="tag calm">published</span>"#),
    };
    Html::template(
        r#"<li><code>{{kid}}</code><span class="soft small">{{kind}}</span>{{tag}}</li>"#,
        &[("kid", Html::text(key.kid().unwrap_or("no kid"))), ("kind", Html::text(&key.description())), ("tag", tag)],
    )
}

fn request(received: &Received) -> Html {
    let line = format!("{} {}", received.method, received.path);
    let first = [row(Html::markup("request"), code(&line)), row(Html::markup("host"), code(&received.host))];
    let headers = received.headers.iter().filter(|(name, _)| name != "host");
    Html::join(first.into_iter().chain(headers.map(|(name, value)| row(Html::text(name), code(&shortened(value))))))
}

fn initials(name: &str) -> String {
    let first = name.chars().find(|character| character.is_alphanumeric()).unwrap_or('?');
    first.to_uppercase().collect()
}

/// The two ends of a key ID, enough to compare by eye.
fn short(kid: &str) -> String {
    let characters: Vec<char> = kid.chars().collect();
    match (characters.get(..8), characters.len().checked_sub(6).and_then(|from| characters.get(from..))) {
        (Some(start), Some(end)) if characters.len() > 20 => {
            format!("{}…{}", start.iter().collect::<String>(), end.iter().collect::<String>())
        }
        _ => kid.to_owned(),
    }
}

/// Long header values in the list of headers; the token itself is on the page in full.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(160) {
        Some((at, _)) => format!("{}… ({} bytes)", value.get(..at).unwrap_or_default(), value.len()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests;
