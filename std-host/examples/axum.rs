//! An axum application, unchanged, on this server.
//! Try: curl http://127.0.0.1:8080/hello/you; curl --data-binary @large http://127.0.0.1:8080/echo
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use netloom::http::{self, Http1};
use netloom::{Server, ServerSession};

async fn hello(Path(name): Path<String>) -> String {
    format!("Hello, {name}!\n")
}

/// Streams: nothing is gathered.
async fn echo(body: Body) -> Body {
    body
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = Router::new().route("/hello/{name}", get(hello)).route("/echo", post(echo));
    let app = http::tower(router);
    let connection = async move |session: &mut ServerSession<Http1>| http::serve(session, &app).await;
    let server = Server::builder().tcp("127.0.0.1:8080").start(Http1::new, connection)?;
    server.wait();
    Ok(())
}
