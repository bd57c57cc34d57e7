//! An axum application, unchanged, on this server.
//! Try: curl http://127.0.0.1:8080/hello/you; curl --data-binary @large http://127.0.0.1:8080/echo
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use netloom::{Server, http};

async fn hello(Path(name): Path<String>) -> String {
    format!("Hello, {name}!\n")
}

/// Streams: nothing is gathered.
async fn echo(body: Body) -> Body {
    body
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let router = Router::new().route("/hello/{name}", get(hello)).route("/echo", post(echo));
    let server = Server::builder().tcp("127.0.0.1:8080").http(http::tower(router))?;
    println!("http://{}/hello/you", server.addresses()[0]);
    server.wait();
    Ok(())
}
