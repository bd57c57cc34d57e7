//! An HTTP server. Try: curl http://127.0.0.1:8080/hello/you
use netloom::http::{self, Http1, Request, Sent};
use netloom::{Result, Server, ServerSession, routes};

async fn hello(request: Request<'_>) -> Result<Sent> {
    let (head, reply) = request.split();
    reply.format(format_args!("Hello, {}!\n", head.param_text("name").unwrap_or_default())).await
}

async fn echo(request: Request<'_>) -> Result<Sent> {
    let mut exchange = request.stream("application/octet-stream").await?;
    while let Some((piece, mut answer)) = exchange.receive().await? {
        answer.send(piece).await?;
    }
    exchange.end().await
}

async fn connection(session: &mut ServerSession<Http1>) -> Result<()> {
    let state = 1;
    let app = routes! {
        GET "/plaintext" => async |request: Request<'_>| request.reply().text("Hello, World!").await,
        GET "/hello/{name}" => hello,
        POST "/echo" => echo,
        GET "/state" => async |request: Request<'_>| request.reply().json(&state).await,
        "/api" => { GET "/x" => hello, POST "/x" => echo },
        GET "/events" => async |request: Request<'_>| {
            let mut events = request.reply().events().await?;
            events.data("one\ntwo").await?;
            events.end().await
        },
    };
    http::serve(session, &app).await
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().tcp("127.0.0.1:8080").workers(1).start(Http1::new, connection)?;
    server.wait();
    Ok(())
}
