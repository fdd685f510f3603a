//! Format strings of the filter state that an identity is read from.

use super::*;

const FORMAT: &str = "text_format_source:\n                    inline_string: \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%\"";
const BEFORE: &str = "          - name: envoy.filters.http.set_filter_state\n";

/// The native configuration with another format, and ext_authz before, which can write any header.
fn with_format(format: &str, settings: &str, early: &[&str]) -> Vec<&'static str> {
    let text = apply(NATIVE, FORMAT, format);
    let text = text.replacen(BEFORE, &format!("{EXT_AUTHZ}{BEFORE}"), 1);
    let deny = "on_missing_identity: deny";
    let text = text.replacen(deny, &format!("{deny}\n                  {settings}"), 1);
    let mutations = "              mutations:\n";
    let early: String = early.iter().map(|mutation| format!("              - {mutation}\n")).collect();
    names(&text.replacen(mutations, &format!("{mutations}{early}"), 1))
}

fn of(text: &str) -> Vec<&'static str> {
    with_format(&format!("text_format_source:\n                    inline_string: {text:?}"), "", &["remove: x-auth"])
}

#[test]
fn formats_that_make_no_identity_are_found() {
    for text in [
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity:email)%",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity):4096%",
        "%DYNAMIC_METADATA(envoy.filters.http.ext_authz):50%",
        "user=%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%",
        "'%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%'",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%;",
        "ann",
    ] {
        assert_eq!(of(text), ["identity-format"], "{text}");
    }
    assert_eq!(
        of("%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload):50%"),
        ["identity-format", "path-not-written"]
    );
}

#[test]
fn formats_that_may_make_an_identity_are_right() {
    for text in [
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%",
        " %DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)% ",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity):65536%",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity:user_info)%",
        "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%",
        "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:user)%",
        "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:user)%%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%",
        "%FILTER_STATE(of.another:PLAIN)%",
        "%REQ(X-Auth)%",
        "{\"sub\": \"%REQ(x-auth):50%\", \"path\": \"%REQ(:path)%\", \"request\": \"%REQ(X-Request-ID)%\"}",
        "%DOWNSTREAM_PEER_URI_SAN%",
        "%SOMETHING_NEW(a:b)%",
        "",
    ] {
        assert_eq!(of(text), Vec::<&str>::new(), "{text}");
    }
    let mapped = "claims: {sub: {from: [identity, sub]}}";
    let whole = FORMAT.replace(":identity)", ")");
    assert_eq!(with_format(&whole, mapped, &["remove: x-auth"]), Vec::<&str>::new());
}

#[test]
fn headers_in_a_format_are_judged_as_sources_are() {
    let json = "json_format: {sub: \"%REQ(x-auth)%\", groups: [\"%REQ(x-groups)%\"]}";
    let removed = &["remove: x-auth", "remove: x-groups"];
    assert_eq!(with_format(json, "", removed), Vec::<&str>::new());
    assert_eq!(with_format(json, "", &["remove: x-auth"]), ["header-not-removed"]);
    let append = "append: {header: {key: x-groups, value: none}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}";
    let set = &[append, "remove: x-auth"];
    assert_eq!(with_format(json, "", set), Vec::<&str>::new());
    for text in
        ["%REQ(x-user)%", "%REQ(x-auth?x-user)%", "%REQUEST_HEADER(x-user):20000%", "{\"sub\": \"%REQ(x-user)%\"}"]
    {
        assert!(of(text).contains(&"header-not-removed"), "{text}: {:?}", of(text));
        let nobody = names(&apply(NATIVE, FORMAT, &format!("text_format_source: {{inline_string: '{text}'}}")));
        assert!(nobody.contains(&"header-not-written"), "{text}: {nobody:?}");
    }
}
