//! Against a token endpoint on loopback.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

type Parameters = HashMap<String, String>;

/// An answer: status and body.
type Answer = (u16, String);

/// A token endpoint that notes what it is asked, and answers as a test says.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: Vec<Answer>,
    requests: Vec<Parameters>,
}

impl Service {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/token", post(answer))
            .route("/device", post(answer))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// The answers to come, the next one first. The last one stays.
    fn answers(&self, answers: Vec<Answer>) {
        self.0.lock().expect("script").answers = answers;
    }

    fn requests(&self) -> Vec<Parameters> {
        self.0.lock().expect("script").requests.clone()
    }
}

async fn answer(State(service): State<Service>, form: String) -> Response {
    let parameters = url::form_urlencoded::parse(form.as_bytes());
    let parameters: Parameters = parameters.into_owned().collect();
    let mut script = service.0.lock().expect("script");
    script.requests.push(parameters);
    let (status, body) = match script.answers.len() {
        0 | 1 => script.answers.first().cloned().unwrap_or_default(),
        _ => script.answers.remove(0),
    };
    let status = StatusCode::from_u16(status).expect("a status");
    match serde_json::from_str::<Value>(&body) {
        Ok(json) => (status, Json(json)).into_response(),
        Err(_) => (status, body).into_response(),
    }
}

fn ok(body: Value) -> Answer {
    (200, body.to_string())
}

fn bearer(token: &str) -> Answer {
    ok(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
}

fn refused(error: &str) -> Answer {
    let body = json!({ "error": error, "error_description": "no\u{202e}\r\nmore" });
    (400, body.to_string())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + seconds).expect("a time")
}

struct Setup {
    service: Service,
    account: Account,
    file: TokenFile,
    _folder: tempfile::TempDir,
}

impl Setup {
    async fn new(grant: Grant) -> Self {
        let service = Service::default();
        let base = service.start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let device = format!("{base}/device");
        let provider = Provider::custom(&format!("{base}/token"), Some(&device), &["mail"]);
        Self {
            service,
            account: Account {
                provider: provider.expect("a provider"),
                client_id: "client".into(),
                client_secret: Some(Secret::new("client-s3cret")),
                grant,
            },
            file: TokenFile::new(folder.path().join("token.json")),
            _folder: folder,
        }
    }

    async fn logged_in() -> Self {
        let setup = Self::new(Grant::RefreshToken).await;
        put(setup.file.path(), "r1");
        setup
    }

    fn source(&self) -> TokenSource {
        TokenSource::new(self.account.clone(), self.file.clone()).expect("certificates")
    }
}

fn put(path: &Path, token: &str) {
    let content = json!({ "refresh-token": token, "issued": at(0), "expires": null });
    fs::write(path, content.to_string()).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
}

fn kept(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

#[tokio::test]
async fn r4_a_token_is_asked_for_once_and_renewed_before_it_expires() {
    let setup = Setup::logged_in().await;
    setup.service.answers(vec![bearer("a1"), bearer("a2")]);
    let source = setup.source();
    let (first, second) = tokio::join!(source.token(at(0)), source.token(at(0)));
    let first = first.expect("a token");
    assert_eq!(first.secret().expose(), "a1");
    assert_eq!(second.expect("a token"), first);
    assert_eq!(first.expires(), at(3600));
    assert_eq!(source.token(at(3299)).await.expect("a token"), first);
    let renewed = source.token(at(3300)).await.expect("a token");
    assert_eq!(renewed.secret().expose(), "a2");
    let requests = setup.service.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!(requests[0]["grant_type"], "refresh_token");
    assert_eq!(requests[0]["refresh_token"], "r1");
    assert_eq!(requests[0]["client_secret"], "client-s3cret");
}

#[tokio::test]
async fn r4_a_replaced_refresh_token_is_on_disk_and_private() {
    let setup = Setup::logged_in().await;
    setup.service.answers(vec![ok(json!({
        "access_token": "a1", "token_type": "bearer", "expires_in": 3600,
        "refresh_token": "r2", "refresh_token_expires_in": 604_800,
    }))]);
    let source = setup.source();
    source.token(at(0)).await.expect("a token");
    let path = setup.file.path();
    assert_eq!(kept(path)["refresh-token"], "r2");
    let mode = fs::metadata(path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(source.login_expires().expect("a file"), Some(at(604_800)));
    // After a restart the new one is used.
    setup.source().token(at(1)).await.expect("a token");
    assert_eq!(setup.service.requests()[1]["refresh_token"], "r2");
}

#[tokio::test]
async fn r10_errors_say_what_to_do_and_the_endpoint_is_left_alone_for_a_minute() {
    let cases = [
        (refused("invalid_grant"), true, "log in again"),
        (refused("invalid_client"), false, "client secret"),
        (
            refused("invalid_scope"),
            false,
            "refused: invalid_scope: no",
        ),
        ((503, "<html>".into()), false, "HTTP status 503"),
        ((302, String::new()), false, "HTTP status 302"),
        ((200, "<html>".into()), false, "no valid answer"),
        ((200, "x".repeat(100_000)), false, "longer than"),
    ];
    for (answer, needs_login, text) in cases {
        let setup = Setup::logged_in().await;
        setup.service.answers(vec![answer, bearer("a1")]);
        let source = setup.source();
        let error = source.token(at(0)).await.expect_err(text);
        assert_eq!(error.needs_login(), needs_login, "{error}");
        let shown = error.to_string();
        assert!(shown.contains(text), "{shown}");
        assert!(shown.is_ascii() && !shown.contains(['\r', '\n']), "{shown}");
        let waiting = source.token(at(59)).await.expect_err(text);
        assert!(matches!(waiting, TokenError::Waiting { .. }), "{waiting}");
        assert_eq!(waiting.needs_login(), needs_login);
        assert_eq!(setup.service.requests().len(), 1);
        source.token(at(60)).await.expect("a token");
    }
}

#[tokio::test]
async fn r4_a_token_that_is_still_valid_outlives_a_failing_endpoint() {
    let setup = Setup::logged_in().await;
    setup
        .service
        .answers(vec![bearer("a1"), (503, String::new())]);
    let source = setup.source();
    let first = source.token(at(0)).await.expect("a token");
    assert_eq!(source.token(at(3400)).await.expect("a token"), first);
    let error = source.token(at(3600)).await.expect_err("expired");
    assert!(matches!(error, TokenError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn r4_a_refused_token_is_replaced_but_not_at_once() {
    let setup = Setup::logged_in().await;
    setup.service.answers(vec![bearer("a1"), bearer("a2")]);
    let source = setup.source();
    let first = source.token(at(0)).await.expect("a token");
    source.refused(&first, at(30)).await;
    assert_eq!(source.token(at(30)).await.expect("a token"), first);
    source.refused(&first, at(60)).await;
    let second = source.token(at(60)).await.expect("a token");
    assert_eq!(second.secret().expose(), "a2");
    // One that is not current any more changes nothing.
    source.refused(&first, at(3000)).await;
    assert_eq!(source.token(at(61)).await.expect("a token"), second);
}

#[tokio::test]
async fn r4_an_application_needs_no_login() {
    let setup = Setup::new(Grant::ClientCredentials).await;
    setup.service.answers(vec![bearer("a1")]);
    setup.source().token(at(0)).await.expect("a token");
    let requests = setup.service.requests();
    assert_eq!(requests[0]["grant_type"], "client_credentials");
    assert_eq!(requests[0]["scope"], "mail");
    assert!(!setup.file.path().exists());
}

#[tokio::test]
async fn r4_without_a_login_or_with_a_damaged_file_nothing_is_asked() {
    let setup = Setup::new(Grant::RefreshToken).await;
    let error = setup.source().token(at(0)).await.expect_err("no login");
    assert_eq!(error, TokenError::NotLoggedIn);
    put(setup.file.path(), "r1");
    fs::write(setup.file.path(), "{}").expect("written");
    let error = setup.source().token(at(0)).await.expect_err("damaged");
    assert!(matches!(error, TokenError::Store(_)), "{error}");
    put(setup.file.path(), "r1");
    fs::set_permissions(setup.file.path(), fs::Permissions::from_mode(0o644)).expect("mode");
    let error = setup
        .source()
        .token(at(0))
        .await
        .expect_err("readable by others");
    assert!(error.to_string().contains("chmod"), "{error}");
    assert_eq!(setup.service.requests().len(), 0);
}

fn device() -> Answer {
    ok(json!({
        "device_code": "d1", "user_code": "ABCD-EFGH\u{7}", "expires_in": 900, "interval": 1,
        "verification_uri": "https://login.example/device",
    }))
}

#[tokio::test]
async fn r4_the_device_flow_gets_the_first_refresh_token() {
    let setup = Setup::new(Grant::RefreshToken).await;
    let granted = json!({
        "access_token": "a1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r1",
    });
    setup.service.answers(vec![
        device(),
        refused("authorization_pending"),
        ok(granted),
    ]);
    let login = Login::start(setup.account.clone()).await.expect("a code");
    assert_eq!(login.code().code, "ABCD-EFGH");
    assert_eq!(login.code().url, "https://login.example/device");
    assert_eq!(login.code().lifetime, Duration::from_secs(900));
    login.finish(&setup.file, at(0)).await.expect("confirmed");
    assert_eq!(kept(setup.file.path())["refresh-token"], "r1");
    let requests = setup.service.requests();
    assert_eq!(requests[0]["scope"], "mail");
    assert_eq!(requests[1]["device_code"], "d1");
    assert_eq!(requests.len(), 3);
}

#[tokio::test]
async fn r4_a_login_that_is_denied_stores_nothing() {
    let setup = Setup::new(Grant::RefreshToken).await;
    setup
        .service
        .answers(vec![device(), refused("access_denied")]);
    let login = Login::start(setup.account.clone()).await.expect("a code");
    let error = login.finish(&setup.file, at(0)).await.expect_err("denied");
    assert!(matches!(error, TokenError::NotConfirmed(_)), "{error}");
    assert!(!setup.file.path().exists());
}

#[tokio::test]
async fn r4_no_secret_is_shown() {
    let setup = Setup::logged_in().await;
    setup.service.answers(vec![bearer("a1-s3cret")]);
    let source = setup.source();
    let token = source.token(at(0)).await.expect("a token");
    let shown = format!("{:?} {source:?} {token:?} {:?}", setup.account, setup.file);
    assert!(!shown.contains("s3cret"), "{shown}");
}
